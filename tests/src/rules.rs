//! Settings files for tests.

use serde_json::{Value, json};

/// Content of a settings file. Starts as: nothing written, everything read, no host.
#[derive(Clone, Debug)]
pub struct Rules(Value);

impl Rules {
    /// The strictest that still runs: no write root, no host.
    #[expect(clippy::new_without_default, reason = "a default policy is a matter of srt, not of the tests")]
    pub fn new() -> Self {
        Rules(json!({
            "network": { "allowedDomains": [], "deniedDomains": [] },
            "filesystem": { "denyRead": [], "allowRead": [], "allowWrite": [], "denyWrite": [] },
        }))
    }

    /// `filesystem.allowWrite`.
    #[must_use]
    pub fn allow_write(self, path: impl Into<String>) -> Self {
        self.push("/filesystem/allowWrite", path)
    }

    /// `filesystem.denyWrite`.
    #[must_use]
    pub fn deny_write(self, path: impl Into<String>) -> Self {
        self.push("/filesystem/denyWrite", path)
    }

    /// `filesystem.denyRead`.
    #[must_use]
    pub fn deny_read(self, path: impl Into<String>) -> Self {
        self.push("/filesystem/denyRead", path)
    }

    /// `filesystem.allowRead`.
    #[must_use]
    pub fn allow_read(self, path: impl Into<String>) -> Self {
        self.push("/filesystem/allowRead", path)
    }

    /// `network.allowedDomains`.
    #[must_use]
    pub fn allow_domain(self, entry: impl Into<String>) -> Self {
        self.push("/network/allowedDomains", entry)
    }

    /// `network.deniedDomains`.
    #[must_use]
    pub fn deny_domain(self, entry: impl Into<String>) -> Self {
        self.push("/network/deniedDomains", entry)
    }

    /// Any other key: `table` is `network`, `filesystem` or empty for the top level.
    #[must_use]
    pub fn set(mut self, table: &str, key: &str, value: Value) -> Self {
        let place = if table.is_empty() { &mut self.0 } else { &mut self.0[table] };
        place[key] = value;
        self
    }

    /// The file's text, one key a line.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.0)
    }

    fn push(mut self, pointer: &str, entry: impl Into<String>) -> Self {
        let list = self.0.pointer_mut(pointer).and_then(Value::as_array_mut).expect("every list exists from the start");
        list.push(Value::String(entry.into()));
        self
    }
}

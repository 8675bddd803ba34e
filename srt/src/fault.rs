//! What went wrong, in the one form a user sees (DESIGN section 10).

use std::fmt;

use crate::policy::Origin;

/// One thing that keeps srt from running the command.
///
/// Shown as `srt: cannot <verb> <object>: <cause>`, then `  from <origin>`, then `hint: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `<verb> <object>`: `read settings file x.json`, `use "*.com" in network.allowedDomains`.
    pub action: String,
    /// Why not.
    pub cause: String,
    /// The line that asked for it.
    pub origin: Option<Origin>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without origin and hint.
    pub fn new(action: impl Into<String>, cause: impl fmt::Display) -> Self {
        Fault { action: action.into(), cause: cause.to_string(), origin: None, hint: None }
    }

    /// A fault whose cause is an error of the operating system.
    pub(crate) fn os(action: impl Into<String>, error: impl Into<std::io::Error>) -> Self {
        Fault::new(action, errno_text(&error.into()))
    }

    /// Names the line that asked for it.
    #[must_use]
    pub fn from_origin(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.action, self.cause)?;
        if let Some(origin) = &self.origin {
            write!(f, "\n  from {origin}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// The words for an error of the operating system, without Rust's `(os error 13)`.
pub(crate) fn errno_text(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}
/// Everything that keeps srt from running the command; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// `None` where there is no fault.
    pub fn new(faults: Vec<Fault>) -> Option<Self> {
        (!faults.is_empty()).then_some(Faults(faults))
    }

    /// Each fault in turn.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Faults(vec![fault])
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            let separator = if number > 0 { "\n" } else { "" };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

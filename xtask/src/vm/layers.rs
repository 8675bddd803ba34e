//! What `srt doctor --json` says of a kernel, and what it must say.

use serde_json::Value;

/// The layers of one host for one caller.
pub(super) struct Layers(Value);

/// The word for a layer in a report.
type Cell = fn(&Value) -> String;
/// A layer: heading, and its cell.
const COLUMNS: &[(&str, Cell)] = &[
    ("namespaces", |report| answer(report, "user_namespaces", "refused")),
    ("filter", |report| answer(report, "seccomp", "refused")),
    ("broker", |report| answer(report, "user_notification", "gap")),
    ("landlock", |report| match report["landlock_abi"].as_u64() {
        Some(0) => "gap".into(),
        Some(abi) => format!("ABI {abi}"),
        None => "?".into(),
    }),
    ("mounts", |report| match report["new_mount_api"].as_bool() {
        Some(true) => "used".into(),
        Some(false) => "old calls".into(),
        None => "?".into(),
    }),
];

/// A layer that came with a version: later kernels must have it, and earlier ones must not.
struct Since {
    name: &'static str,
    version: (u32, u32),
    is_there: fn(&Value) -> bool,
}

const SINCE: &[Since] = &[
    Since { name: "namespaces", version: (0, 0), is_there: |report| report["user_namespaces"]["answer"] == "yes" },
    Since { name: "the filter", version: (0, 0), is_there: |report| report["seccomp"]["answer"] == "yes" },
    Since { name: "new mount calls", version: (5, 12), is_there: |report| report["new_mount_api"] == true },
    Since { name: "Landlock", version: (5, 13), is_there: |report| report["landlock_abi"].as_u64() > Some(0) },
    Since { name: "the broker", version: (5, 19), is_there: |report| report["user_notification"]["answer"] == "yes" },
    Since { name: "Landlock on TCP", version: (6, 7), is_there: |report| report["landlock_abi"].as_u64() >= Some(4) },
    Since { name: "Landlock scopes", version: (6, 12), is_there: |report| report["landlock_abi"].as_u64() >= Some(6) },
];

fn answer(report: &Value, layer: &str, missing: &str) -> String {
    match report[layer]["answer"].as_str() {
        Some("yes") => "used".into(),
        Some("no") => missing.into(),
        _ => "?".into(),
    }
}

impl Layers {
    /// Reads a report.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map(Layers).map_err(|error| format!("no report: {error}"))
    }

    /// Layers that are there and should not be, or the other way round.
    pub(super) fn faults(&self, version: &str) -> Vec<String> {
        let mut numbers = version.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let wrong = SINCE.iter().filter(|row| (row.is_there)(&self.0) != (version >= row.version));
        let told = |row: &Since| {
            let state = if (row.is_there)(&self.0) { "there" } else { "missing" };
            format!("{}: {state}, though it came with {}.{}", row.name, row.version.0, row.version.1)
        };
        wrong.map(told).collect()
    }

    /// Names of the columns.
    pub(super) fn heading() -> String {
        COLUMNS.iter().map(|(name, _)| format!("{name:<11}")).collect()
    }

    /// Cells: one word where root and an ordinary user have the same, else both.
    pub(super) fn row(callers: &[Option<Layers>; 2]) -> String {
        let cell =
            |layers: &Option<Layers>, show: fn(&Value) -> String| layers.as_ref().map_or_else(|| "?".to_owned(), |layers| show(&layers.0));
        let both = |show: fn(&Value) -> String| {
            let [root, user] = [cell(&callers[0], show), cell(&callers[1], show)];
            if root == user { root } else { format!("{root}/{user}") }
        };
        COLUMNS.iter().map(|(_, show)| format!("{:<11}", both(*show))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Layers;

    const OLD: &str = r#"{"user_namespaces":{"answer":"yes"},"landlock_abi":0,"seccomp":{"answer":"yes"},"user_notification":{"answer":"no"},"new_mount_api":false}"#;

    #[test]
    fn a_layer_that_a_kernel_should_have_is_missed() {
        let layers = Layers::read(OLD).unwrap();
        assert!(layers.faults("5.10.0-46").is_empty());
        assert_eq!(layers.faults("6.1.0-50").len(), 3);
        assert_eq!(layers.faults("7.3.4").len(), 5);
    }

    #[test]
    fn callers_that_differ_are_both_shown() {
        let user = OLD.replace(r#"{"answer":"yes"},"landlock"#, r#"{"answer":"no"},"landlock"#);
        let row = Layers::row(&[Layers::read(OLD).ok(), Layers::read(&user).ok()]);
        assert!(row.starts_with("used/refused"), "{row}");
        assert!(row.contains("gap        gap        old calls"), "{row}");
    }
}

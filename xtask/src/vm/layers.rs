//! What `srt doctor --json` says of a kernel, and what it must say.

use serde_json::Value;

/// The layers of one host for one caller.
pub(super) struct Layers(Value);

/// A layer: heading, and the cell for a report.
const COLUMNS: &[(&str, fn(&Value) -> String)] = &[
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

/// What a kernel from this version on must have; before it, it must not.
const SINCE: &[(&str, (u32, u32), fn(&Value) -> bool)] = &[
    ("namespaces", (0, 0), |report| report["user_namespaces"]["answer"] == "yes"),
    ("filter", (0, 0), |report| report["seccomp"]["answer"] == "yes"),
    ("new mount calls", (5, 12), |report| report["new_mount_api"] == true),
    ("Landlock", (5, 13), |report| report["landlock_abi"].as_u64() > Some(0)),
    ("the broker", (5, 19), |report| report["user_notification"]["answer"] == "yes"),
    ("Landlock on TCP", (6, 7), |report| report["landlock_abi"].as_u64() >= Some(4)),
    ("Landlock scopes", (6, 12), |report| report["landlock_abi"].as_u64() >= Some(6)),
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
        let wrong = SINCE.iter().filter(|(_, since, has)| has(&self.0) != (version >= *since));
        wrong
            .map(|(name, since, has)| {
                format!("{name}: {}, though it came with {}.{}", if has(&self.0) { "there" } else { "missing" }, since.0, since.1)
            })
            .collect()
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

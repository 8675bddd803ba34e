//! The denials that a run reported, read from its JSON lines.

use serde_json::Value;

use crate::{Area, Outcome, Program, Rules};

/// All events of one run, in the order of the file.
#[derive(Debug)]
pub struct Events(Vec<Value>);

/// What one event must say. Empty lists and texts stand for "not looked at".
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// `fs.write`, `unix.connect`, `syscall`…
    pub kind: &'a str,
    /// Names that the operation may have: one call has several names on some architectures.
    pub operations: &'a [&'a str],
    /// A path, or `host:port`.
    pub target: &'a str,
    /// What the program saw.
    pub errno: &'a [&'a str],
    /// The rule's name; what follows it in a list (`.0`) may follow here too.
    pub rule: &'a str,
}

impl Events {
    /// Runs a command line inside, with `--violations-file`.
    ///
    /// # Panics
    /// When the file is missing, or is not made of JSON lines.
    pub fn of(area: &Area, rules: &Rules, words: &[&str]) -> (Outcome, Events) {
        Self::of_program(area, rules, |program| program.args(words))
    }

    /// The same for the probe.
    ///
    /// # Panics
    /// As [`Events::of`].
    pub fn of_probe(area: &Area, rules: &Rules, operation: &[&str]) -> (Outcome, Events) {
        let probe = crate::probe().display().to_string();
        Self::of_program(area, rules, |program| program.args(&[&probe]).args(operation))
    }

    /// The same for a program that `finish` completes: it adds the command line, and perhaps more.
    ///
    /// # Panics
    /// As [`Events::of`].
    pub fn of_program(area: &Area, rules: &Rules, finish: impl FnOnce(Program) -> Program) -> (Outcome, Events) {
        let (program, log) = Self::recording(area, rules);
        let outcome = finish(program).run();
        let events = Self::read(&log, &outcome);
        (outcome, events)
    }

    /// A program that writes its denials to a file, which is still to be read.
    pub(crate) fn recording(area: &Area, rules: &Rules) -> (Program, String) {
        let log = area.beside("events");
        (area.bare_srt().args(&["run", "--settings", &area.settings(rules), "--violations-file", &log, "--"]), log)
    }

    /// What a run wrote to its `--violations-file`.
    ///
    /// # Panics
    /// As [`Events::of`].
    pub fn read(log: &str, outcome: &Outcome) -> Self {
        let text = std::fs::read_to_string(log).unwrap_or_else(|error| panic!("cannot read {log}: {error}\n{outcome}"));
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}\n{outcome}"));
        Events(text.lines().map(line).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Was nothing reported?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was denied, and how often.
    pub fn counts(&self) -> impl Iterator<Item = (String, u64)> {
        self.0.iter().map(|event| (event["target"].as_str().unwrap_or_default().to_owned(), event["count"].as_u64().unwrap_or(0)))
    }

    /// Nothing was reported.
    #[track_caller]
    pub fn assert_none(&self, about: &dyn std::fmt::Display) {
        assert!(self.is_empty(), "an event where policy denied nothing: {self}\n{about}");
    }

    /// Exactly one event, counted once, and it says this.
    #[track_caller]
    pub fn assert_only(&self, expected: Expected<'_>, about: &dyn std::fmt::Display) {
        assert_eq!(self.len(), 1, "one denial is one event: {self}\n{about}");
        let event = &self.0[0];
        let faults = expected.faults(event);
        assert!(faults.is_empty(), "{} in {self}\n{about}", faults.join("; "));
    }

    /// One of the events says this, and is the only one about its target.
    #[track_caller]
    pub fn assert_has(&self, expected: Expected<'_>, about: &dyn std::fmt::Display) {
        let found: Vec<_> = self.0.iter().filter(|event| event["target"] == expected.target).collect();
        assert_eq!(found.len(), 1, "one event about {}: {self}\n{about}", expected.target);
        let faults = expected.faults(found[0]);
        assert!(faults.is_empty(), "{} in {self}\n{about}", faults.join("; "));
    }
}

impl std::fmt::Display for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} events", self.len())?;
        self.0.iter().try_for_each(|event| write!(f, "\n  {event}"))
    }
}

impl Expected<'_> {
    /// What the event says otherwise, in words.
    fn faults(&self, event: &Value) -> Vec<String> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let rule = text("/rule/id");
        let named =
            rule.strip_prefix(self.rule).is_some_and(|rest| rest.is_empty() || self.rule.is_empty() || rest.starts_with(['.', ':']));
        let one_of = |list: &[&str], value: &str| list.is_empty() || list.contains(&value);
        let checks = [
            (event["v"] == 1, "v is not 1".to_owned()),
            (text("/kind") == self.kind, format!("kind is not {}", self.kind)),
            (one_of(self.operations, text("/operation")), format!("operation is none of {:?}", self.operations)),
            (self.target.is_empty() || text("/target") == self.target, format!("target is not {}", self.target)),
            (one_of(self.errno, text("/errno")), format!("errno is none of {:?}", self.errno)),
            (!rule.is_empty() && named, format!("rule is not {}", self.rule)),
            (!text("/rule/origin").is_empty(), "the rule has no origin".to_owned()),
            (!text("/reason").is_empty(), "there is no reason".to_owned()),
            (event["count"] == 1, "count is not 1".to_owned()),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Value {
        serde_json::json!({
            "v": 1, "kind": "fs.write", "operation": "mkdir", "target": "/w/x", "errno": "EPERM", "count": 1,
            "rule": { "id": "fs.deny-write.0", "origin": "s.json:1:1" }, "reason": "denied",
        })
    }

    const RIGHT: Expected<'static> =
        Expected { kind: "fs.write", operations: &["mkdir", "mkdirat"], target: "/w/x", errno: &["EPERM"], rule: "fs.deny-write" };

    #[test]
    fn a_right_event_has_no_faults_and_every_wrong_field_is_one() {
        assert_eq!(RIGHT.faults(&event()), Vec::<String>::new());
        for (key, value) in [("v", "2"), ("kind", "fs.read"), ("operation", "rmdir"), ("target", "/w"), ("errno", "EROFS"), ("count", "2")]
        {
            let mut wrong = event();
            wrong[key] = value.into();
            assert_eq!(RIGHT.faults(&wrong).len(), 1, "{key}");
        }
    }

    #[test]
    fn a_rule_is_compared_by_its_whole_name() {
        let mut longer = event();
        longer["rule"]["id"] = "fs.deny-write-path.0".into();
        assert_eq!(RIGHT.faults(&longer).len(), 1);
    }
}

//! Events as text: one line, the summary at the end of a run, JSON lines.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::{Event, Kind, sanitise};

impl Event {
    /// One line in the form of the npm program: `deny network-outbound host:port (reason)`, `deny openat /path`. Sanitised.
    pub fn line(&self) -> String {
        let network = matches!(self.kind, Kind::NetConnect | Kind::NetDns | Kind::NetHttp | Kind::NetTls);
        let line = if network {
            format!("deny network-outbound {} ({})", self.target, self.reason)
        } else {
            format!("deny {} {}", self.operation, self.target)
        };
        sanitise(&line)
    }

    /// One line of JSON without line break. Text is exact, but all that is not printable ASCII is escaped, so that showing the line on a
    /// terminal is safe.
    pub fn json_line(&self) -> serde_json::Result<String> {
        Ok(escaped(&serde_json::to_string(self)?))
    }
}

/// JSON in which everything but printable ASCII is escaped.
pub fn escaped(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut line, character| {
        push_escaped(&mut line, character);
        line
    })
}

/// Outside strings JSON is plain ASCII without `<` and `>`, so every escape lands inside a string.
fn push_escaped(line: &mut String, character: char) {
    if matches!(character, ' '..='~') && !matches!(character, '<' | '>') {
        return line.push(character);
    }
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        let _ = write!(line, "\\u{unit:04x}");
    }
}

/// Tells what was denied, by which rule, and what would allow it; nothing where nothing was denied.
pub fn summary(events: &[Event], dropped: u64, out: &mut dyn Write) -> io::Result<()> {
    let total: u64 = events.iter().fold(dropped, |sum, event| sum.saturating_add(event.count));
    if total == 0 {
        return Ok(());
    }
    writeln!(out, "srt: {total} denied {}", if total == 1 { "operation" } else { "operations" })?;
    list(events, dropped, out)
}

/// The events, indented, each with its rule and what would allow it.
pub fn list(events: &[Event], dropped: u64, out: &mut dyn Write) -> io::Result<()> {
    for event in events {
        summarise(event, out)?;
    }
    if dropped > 0 {
        writeln!(out, "  and {dropped} more that differ from these")?;
    }
    Ok(())
}

fn summarise(event: &Event, out: &mut dyn Write) -> io::Result<()> {
    let times = if event.count > 1 { format!(", {} times", event.count) } else { String::new() };
    let process = event.process.as_ref().map(|process| format!(" by {}[{}]", sanitise(&process.comm), process.pid)).unwrap_or_default();
    writeln!(out, "  {}{process}{times}", event.line())?;
    if !event.line().contains(&sanitise(&event.reason)) {
        writeln!(out, "    reason: {}", sanitise(&event.reason))?;
    }
    writeln!(out, "    rule: {} from {}", sanitise(&event.rule.id), sanitise(&event.rule.origin))?;
    match &event.allow {
        Some(allow) => writeln!(out, "    allow: {}", sanitise(allow)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::event;
    use super::*;

    fn shown(events: &[Event], dropped: u64) -> String {
        let mut out = Vec::new();
        summary(events, dropped, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_run_without_denials_has_no_summary() {
        assert_eq!(shown(&[], 0), "");
    }

    #[test]
    fn the_summary_names_target_reason_rule_and_remedy() {
        let mut twice = event("example.com:443");
        twice.count = 2;
        assert_eq!(
            shown(&[twice], 3),
            "srt: 5 denied operations\n  \
             deny network-outbound example.com:443 (host is not on the allow list), 2 times\n    \
             rule: net.default from built-in default\n    \
             allow: add \"example.com:443\" to network.allowedDomains\n  \
             and 3 more that differ from these\n"
        );
    }

    #[test]
    fn file_events_have_their_reason_on_a_line_of_its_own() {
        let mut file = event("/etc/shadow");
        (file.kind, file.operation, file.reason) = (Kind::FsWrite, "openat".into(), "not below a write root".into());
        assert_eq!(file.line(), "deny openat /etc/shadow");
        assert!(shown(&[file], 0).contains("\n    reason: not below a write root\n"));
    }

    #[test]
    fn hostile_text_is_harmless_in_every_form() {
        let hostile = event("\x1b]0;x\x07\u{202e}\n<b>\u{9b}\u{e0041}:1");
        let text = shown(std::slice::from_ref(&hostile), 0);
        assert!(text.chars().all(|c| c == '\n' || matches!(c, ' '..='~') && !matches!(c, '<' | '>')), "{text:?}");
        let line = hostile.json_line().unwrap();
        assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["target"], hostile.target.as_str());
        assert_eq!(
            (back["v"].as_u64(), back["kind"].as_str(), back["rule"]["id"].as_str()),
            (Some(1), Some("net.connect"), Some("net.default"))
        );
    }
}

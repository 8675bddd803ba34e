//! What a program did.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The end of a run and what it wrote.
pub struct Outcome {
    shown: String,
    status: ExitStatus,
    /// Standard output.
    pub stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Outcome {
    pub(crate) fn new(shown: String, status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8>) -> Self {
        Outcome { shown, status, stdout, stderr }
    }

    /// Exit status; `None` where a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Standard output as text, without white space at the ends.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The run ended with this status.
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code(), Some(code), "exit status\n{self}");
        self
    }

    /// Standard output is exactly this, but for white space at the ends.
    #[track_caller]
    pub fn assert_prints(&self, text: &str) -> &Self {
        assert_eq!(self.out(), text, "standard output\n{self}");
        self
    }

    /// Standard output is one of these.
    #[track_caller]
    pub fn assert_prints_one_of(&self, texts: &[&str]) -> &Self {
        assert!(texts.contains(&self.out().as_str()), "standard output is none of {texts:?}\n{self}");
        self
    }

    /// Standard output holds this.
    #[track_caller]
    pub fn assert_out_has(&self, text: &str) -> &Self {
        assert!(self.out().contains(text), "standard output lacks {text:?}\n{self}");
        self
    }

    /// Standard error holds this.
    #[track_caller]
    pub fn assert_err_has(&self, text: &str) -> &Self {
        assert!(self.err().contains(text), "standard error lacks {text:?}\n{self}");
        self
    }

    /// Denials in srt's summary: what was denied, and the rule that the line below names.
    pub fn events(&self) -> Vec<(String, String)> {
        let text = self.err();
        let mut lines = text.lines().map(str::trim_start).peekable();
        let mut events = Vec::new();
        while let Some(line) = lines.next() {
            if let Some(denied) = line.strip_prefix("deny ") {
                let rule = lines.by_ref().find_map(|line| line.strip_prefix("rule: "));
                events.push((denied.to_owned(), rule.unwrap_or_default().to_owned()));
            }
        }
        events
    }

    /// The summary tells of exactly one denial of `target`, and says by which rule.
    #[track_caller]
    pub fn assert_one_event(&self, target: &str, rule: &str) -> &Self {
        let events: Vec<_> = self.events().into_iter().filter(|(denied, _)| names(denied, target)).collect();
        assert_eq!(events.len(), 1, "denials of {target} in the summary: {events:?}\n{self}");
        assert!(events[0].1.starts_with(rule), "the rule is not {rule:?} but {:?}\n{self}", events[0].1);
        self
    }

    /// The summary tells of no denial of `target`.
    #[track_caller]
    pub fn assert_no_event(&self, target: &str) -> &Self {
        assert!(!self.events().iter().any(|(denied, _)| names(denied, target)), "unexpected events of {target}\n{self}");
        self
    }

    /// srt itself refused, in the form of its messages, and ran nothing.
    #[track_caller]
    pub fn assert_refused(&self) -> &Self {
        self.assert_code(125);
        assert!(self.err().lines().any(|line| line.starts_with("srt: cannot ")), "no line `srt: cannot …`\n{self}");
        assert!(!self.err().contains("panicked"), "a panic is no message\n{self}");
        assert!(self.stdout.is_empty(), "standard output belongs to the command\n{self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cut = |text: String| if text.len() > 3000 { format!("{}…", text.chars().take(3000).collect::<String>()) } else { text };
        writeln!(f, "command: {}", self.shown)?;
        writeln!(f, "ended:   {}", self.status)?;
        writeln!(f, "stdout:  {}", cut(self.out()))?;
        write!(f, "stderr:  {}", cut(self.err()))
    }
}

/// Does `line` hold `target` as a whole word? `localhost:80` is not in `localhost:8080`.
fn names(line: &str, target: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    line.match_indices(target).any(|(at, _)| {
        let before = line.as_bytes()[..at].last().is_some_and(|byte| inside(*byte));
        let after = line.as_bytes().get(at + target.len()).is_some_and(|byte| inside(*byte));
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_target_is_found_as_a_whole_word_only() {
        assert!(names("denied: CONNECT localhost:80 (net.default)", "localhost:80"));
        assert!(names("localhost:80", "localhost:80"));
        assert!(!names("localhost:8080", "localhost:80"));
        assert!(!names("not-localhost:80", "localhost:80"));
        assert!(names("http://localhost:80/", "localhost:80"));
    }
}

//! One record of the log stream.

use serde::Deserialize;

use crate::macos::RunTag;

/// A denial as the kernel words it: `Sandbox: COMMAND(PID) deny(N) OPERATION TARGET`, and the message of the rule on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Name of the command: the last component, cut short.
    pub(super) command: String,
    pub(super) pid: i32,
    /// `file-read-data`, `mach-lookup`.
    pub(super) operation: String,
    /// A path, an address, a name; may be empty.
    pub(super) target: String,
    /// The rule that the message names.
    pub(super) rule: String,
    /// How often, beyond what was reported before.
    pub(super) count: u64,
}

/// What is read of a record; there is much more in it.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "eventMessage")]
    message: String,
    #[serde(rename = "processID")]
    process: i64,
}

/// The kernel.
const KERNEL: i64 = 0;

/// Denials that every program meets and none misses: name service, diagnostics and statistics.
const NOISE: &[&str] = &["mDNSResponder", "com.apple.diagnosticd", "com.apple.analyticsd"];

impl Record {
    /// `None` for what is no denial of this run: other records, the headline of the stream, broken lines.
    pub(super) fn parse(line: &[u8], run: RunTag) -> Option<Record> {
        let line: Line = serde_json::from_slice(line).ok()?;
        if line.process != KERNEL {
            return None;
        }
        // The message of the rule is last; a path may hold line breaks of its own.
        let (said, message) = line.message.trim_end().rsplit_once('\n')?;
        let rule = run.rule(message)?;
        let (count, said) = repetitions(said)?;
        let (process, denied) = split_at_denial(said)?;
        let (command, pid) = process.rsplit_once('(')?;
        let (operation, target) = denied.split_once(' ').unwrap_or((denied, ""));
        Some(Record {
            command: command.to_owned(),
            pid: pid.parse().ok()?,
            operation: operation.to_owned(),
            target: target.to_owned(),
            rule: rule.to_owned(),
            count,
        })
    }

    /// Is it nothing that a user could use?
    pub(super) fn is_noise(&self) -> bool {
        NOISE.iter().any(|noise| self.command == *noise || self.target.rsplit(['/', ' ']).next() == Some(noise))
    }
}

/// `Sandbox: …`, or `3 duplicate reports for Sandbox: …`.
fn repetitions(said: &str) -> Option<(u64, &str)> {
    if let Some(said) = said.strip_prefix("Sandbox: ") {
        return Some((1, said));
    }
    let (count, rest) = said.split_once(" duplicate report")?;
    let said = rest.strip_prefix('s').unwrap_or(rest).strip_prefix(" for Sandbox: ")?;
    Some((count.parse().ok()?, said))
}

/// `COMMAND(PID` and `OPERATION TARGET`, from around `) deny(N) `. The command is first and short, so the first such place is the right one.
fn split_at_denial(said: &str) -> Option<(&str, &str)> {
    let (process, rest) = said.split_once(") deny(")?;
    let (number, denied) = rest.split_once(") ")?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some((process, denied))
}

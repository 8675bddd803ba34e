//! What ties a line of the system log to a run and to a rule of it.

use std::fmt;

/// The name of one run in the messages of its profile. The log is the whole machine's; a number that nobody can guess keeps runs apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunTag(u64);

impl RunTag {
    /// The tag of a run. `number` should be random.
    pub const fn of(number: u64) -> RunTag {
        RunTag(number)
    }

    /// The tag of a run that nobody can guess.
    ///
    /// # Errors
    /// No random numbers can be had.
    pub fn random() -> std::io::Result<RunTag> {
        Ok(RunTag(u64::from_ne_bytes(crate::unix::random()?)))
    }

    /// The name of a Mach service that only processes of this run may look up. Nobody serves it: whoever asks the kernel about it learns which processes these are.
    pub fn service(self) -> String {
        format!("srt.run.{:016x}", self.0)
    }

    /// The message of a rule.
    pub fn message(self, rule: &str) -> String {
        format!("{self}{rule}")
    }

    /// The rule that a message of this run names.
    pub fn rule(self, message: &str) -> Option<&str> {
        message.strip_prefix(&self.to_string())
    }
}

/// What every message of the run starts with.
impl fmt::Display for RunTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "srt:{:016x}:", self.0)
    }
}

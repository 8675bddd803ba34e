//! How a run ended.

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command ended by itself.
    Exited(u8),
    /// A signal ended the command.
    Killed(i32),
    /// There is no such program.
    NotFound,
    /// The program exists and cannot be executed.
    NotExecutable,
    /// srt failed; nothing was run.
    Failed,
}

impl Outcome {
    /// The exit status of srt: the command's own, 128 + n for a signal, 127, 126, 125.
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Exited(status) => status,
            Outcome::Killed(signal) => u8::try_from(128 + signal).unwrap_or(255),
            Outcome::NotFound => 127,
            Outcome::NotExecutable => 126,
            Outcome::Failed => 125,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_contract() {
        assert_eq!(Outcome::Exited(3).exit_code(), 3);
        assert_eq!(Outcome::Killed(15).exit_code(), 143);
        assert_eq!(Outcome::Killed(64).exit_code(), 192);
        assert_eq!([Outcome::NotFound, Outcome::NotExecutable, Outcome::Failed].map(Outcome::exit_code), [127, 126, 125]);
    }
}

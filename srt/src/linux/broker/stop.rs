//! Why a call is not performed.

use rustix::io::Errno;

use crate::policy::{AbsPath, FsRule};

/// The end of a call without effect.
#[derive(Debug)]
pub(super) enum Stop {
    /// The kernel's own answer: no violation.
    Errno(Errno),
    /// The policy's: it is told.
    Denied(Denial),
}

/// A refusal by policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    /// What the caller sees.
    pub(super) errno: Errno,
    /// What it was about.
    pub(super) target: Target,
    /// Name of the rule.
    pub(super) rule: String,
}

/// What a denial is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Writing to a path.
    Write(AbsPath),
    /// Reading one.
    Read(AbsPath),
    /// Connecting or sending to a UNIX socket.
    Socket(Vec<u8>),
    /// The call itself, with its first arguments.
    Call([u64; 3]),
}

impl Denial {
    /// By a rule on files.
    pub(super) fn by(rule: &FsRule, errno: Errno, path: AbsPath) -> Self {
        Denial { errno, target: Target::Write(path), rule: rule.id.to_string() }
    }

    /// By a rule on reading.
    pub(super) fn reading(rule: &FsRule, path: AbsPath) -> Self {
        Denial { errno: Errno::ACCESS, target: Target::Read(path), rule: rule.id.to_string() }
    }

    /// By a rule that no settings hold.
    pub(super) fn builtin(errno: Errno, path: AbsPath, rule: &str) -> Self {
        Denial { errno, target: Target::Write(path), rule: rule.to_owned() }
    }
}

impl Stop {
    /// The same, of a call that only reads: entries of other processes are refused whatever is asked of them.
    pub(super) fn of_reading(self) -> Self {
        match self {
            Stop::Denied(Denial { errno, target: Target::Write(path), rule }) => Denial { errno, target: Target::Read(path), rule }.into(),
            stop => stop,
        }
    }
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Stop::Errno(errno)
    }
}

impl From<Denial> for Stop {
    fn from(denial: Denial) -> Self {
        Stop::Denied(denial)
    }
}

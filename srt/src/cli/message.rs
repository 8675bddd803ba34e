//! What srt says on stderr, in the one form of all its messages.

use std::io::Write as _;

use super::args::Stop;
use crate::plan::Gaps;
use crate::{Fault, Faults};

/// Anything that keeps srt from doing what it was asked.
#[derive(Debug)]
pub(super) enum Error {
    /// Faults of settings or of the host.
    Faults(Faults),
    /// Layers that are wanted and cannot be had.
    Gaps(Gaps),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Faults(fault.into())
    }
}

impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        Error::Faults(faults)
    }
}

impl From<Gaps> for Error {
    fn from(gaps: Gaps) -> Self {
        Error::Gaps(gaps)
    }
}

/// `srt: cannot …`, one for each fault.
pub(super) fn print_error(error: &Error) {
    match error {
        Error::Faults(faults) => faults.iter().for_each(print_fault),
        Error::Gaps(gaps) => gaps.0.iter().for_each(|gap| say(&gap.to_string())),
    }
}

/// One fault.
pub(super) fn print_fault(fault: &Fault) {
    say(&fault.to_string());
}

/// A line, or several, after srt's name. Where stderr is closed there is nobody to tell.
pub(super) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "srt: {text}");
}

/// Help and version go to stdout with status 0; a mistake goes to stderr with 125, because nothing was run.
pub(super) fn print_stop(stop: &Stop) -> u8 {
    if stop.asked_for {
        let _ = std::io::stdout().lock().write_all(stop.text.as_bytes());
        0
    } else {
        let _ = std::io::stderr().lock().write_all(stop.text.as_bytes());
        super::FAILED
    }
}

//! The process outside: serves the proxies, passes signals on, takes the end.
//!
//! One thread, one loop, which is the platform's; what it serves is the same everywhere. It runs with the caller's rights, so everything that reaches it from inside
//! goes through parsers that expect the worst.

mod control;
mod descriptor;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(target_os = "linux")]
mod linux;
mod live;
pub mod macos;
mod program;
mod remember;
mod reports;
pub(crate) mod session;
pub(crate) mod status;
pub(crate) mod terminal;
pub(crate) mod told;

use std::ffi::OsStr;

use rustix::io::Errno;

use crate::violation::Run;
use crate::{Fault, Outcome};

#[cfg(target_os = "linux")]
pub use linux::{has_terminal, run};
#[cfg(target_os = "macos")]
pub use macos::run;

pub use descriptor::{Descriptor, Direction};
pub use live::Show;
pub use program::{OnFiles, Renew};
pub use remember::Memory;
pub use reports::Reports;

/// The ways by which a run tells and is told things while it goes on. None by default.
#[derive(Default)]
pub struct Ways {
    /// Shows denials as they happen.
    pub live: Option<Show>,
    /// Says what goes wrong with the control channel.
    pub say: Option<Show>,
    /// `--status-fd`.
    pub status: Option<Descriptor>,
    /// `--control-fd`.
    pub control: Option<Descriptor>,
    /// Hosts that no rule decides are asked about: through the two descriptors where both are there, else on the terminal.
    pub ask: bool,
    /// Where "always" is written.
    pub memory: Memory,
    /// Makes a policy of settings that come through `control`.
    pub renew: Option<Renew>,
    /// What observers are told of the run. Without, there are none.
    pub run: Option<Run>,
    /// Gets the rules on files of such settings.
    pub on_files: Option<OnFiles>,
    /// Who reports what the kernel denied.
    pub reports: Reports,
}

/// The end of a run, and what must be said about it.
#[derive(Debug)]
pub struct End {
    /// How it ended.
    pub outcome: Outcome,
    /// Why srt failed, or why the command could not be executed.
    pub fault: Option<Fault>,
    /// What else went wrong, and is no reason to fail.
    pub remarks: Vec<Fault>,
}

impl End {
    pub(crate) fn fault(outcome: Outcome, fault: Fault) -> Self {
        End { outcome, fault: Some(fault), remarks: Vec::new() }
    }
}

impl From<Outcome> for End {
    fn from(outcome: Outcome) -> Self {
        End { outcome, fault: None, remarks: Vec::new() }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        End::fault(Outcome::Failed, fault)
    }
}

pub(crate) fn event_loop() -> Result<tokio::runtime::Runtime, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(|error| Fault::os("start the event loop", error))
}

pub(crate) fn not_executed(program: &OsStr, errno: i32) -> End {
    let missing = [Errno::NOENT, Errno::NOTDIR].iter().any(|error| error.raw_os_error() == errno);
    let outcome = if missing { Outcome::NotFound } else { Outcome::NotExecutable };
    End::fault(outcome, Fault::os(format!("run {}", program.to_string_lossy()), std::io::Error::from_raw_os_error(errno)))
}

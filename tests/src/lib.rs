//! The harness of the end-to-end suites.
//!
//! A test gets an [`Area`]: a private directory of one identity, and from it a [`Program`] that runs the real binary there. What happened
//! is judged by `srt-probe`, by the host's file system ([`Snapshot`]) and by servers of the test's own ([`server`]), never by
//! srt's word alone.

#![cfg(target_os = "linux")]

mod area;
mod binaries;
mod denial;
mod events;
mod identity;
mod late;
mod layers;
mod needs;
mod outcome;
pub mod procs;
mod rows;
mod rules;
mod run;
pub mod server;
mod skip;
mod slow;
mod snapshot;
pub mod terminal;
mod watch;

pub use area::Area;
pub use binaries::{probe, reachable_directory, srt};
pub use denial::Denial;
pub use events::{Events, Expected};
pub use identity::{Identity, as_root, as_user, for_each_identity};
pub use late::prepared_late;
pub use layers::Layer;
pub use outcome::Outcome;
pub use rows::each;
pub use rules::Rules;
pub use run::{Program, Running};
pub use skip::skipped;
pub use slow::{patience, pause};
pub use snapshot::Snapshot;
pub use watch::Watch;

/// Ends the test (or the closure it stands in) as skipped, with the reason: counted, printed, and a failure under `SRT_TEST_REQUIRE=all`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::skipped(&format!($($reason)*));
        return;
    }};
}

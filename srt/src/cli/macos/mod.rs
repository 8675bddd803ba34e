//! Subcommands as they are on macOS.

mod doctor;

use std::path::PathBuf;

use super::args::MonitorOptions;
use super::message::Error;
use crate::Fault;

pub(super) use doctor::doctor;

/// The service is for the kernel's program, which there is on Linux only.
pub(super) fn monitor(_: MonitorOptions) -> Result<u8, Error> {
    Err(Fault::new("run the service", "it needs eBPF, which macOS does not have").into())
}

/// Runs are found by the abstract addresses of their supervisors, which there are on Linux only.
pub(super) fn top(_once: bool) -> Result<u8, Error> {
    let fault = Fault::new("show the sandboxes", "runs cannot be looked on at on macOS");
    Err(fault.hint("--status-fd tells of one run as it goes on").into())
}

/// The socket of the service: none.
pub(super) fn service() -> Option<PathBuf> {
    None
}

//! Subcommands that are about layers of Linux.

mod doctor;
mod monitor;
mod top;

use std::path::PathBuf;

pub(super) use doctor::doctor;
pub(super) use monitor::monitor;
pub(super) use top::top;

/// The socket of the service, where there seems to be one.
pub(super) fn service() -> Option<PathBuf> {
    let path = service_socket();
    let kind = rustix::fs::stat(&path).ok().map(|found| rustix::fs::FileType::from_raw_mode(found.st_mode))?;
    (kind == rustix::fs::FileType::Socket).then_some(path)
}

/// Where the service is looked for, and listens: `SRT_MONITOR_SOCKET`, for tests, or its usual place.
fn service_socket() -> PathBuf {
    std::env::var_os("SRT_MONITOR_SOCKET").map_or_else(|| crate::monitor::SOCKET.into(), PathBuf::from)
}

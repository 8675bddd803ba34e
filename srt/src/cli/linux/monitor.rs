//! `srt monitor`: the service.

use super::service_socket;
use crate::cli::args::MonitorOptions;
use crate::cli::message::Error;
use crate::monitor::{self, Setup, attach};

/// Serves to the end; 0.
pub(in crate::cli) fn monitor(asked: MonitorOptions) -> Result<u8, Error> {
    let given = passed();
    let socket = asked.socket.unwrap_or_else(service_socket);
    let _ = crate::backend::ignore_sigpipe();
    if asked.json && given.is_none() && asked.otlp.is_none() && attach(&socket, &mut std::io::stdout())? {
        return Ok(0);
    }
    monitor::monitor(Setup { socket, given, json: asked.json, otlp: asked.otlp })?;
    Ok(0)
}

/// The socket that systemd passed, if it did: descriptor 3 (sd_listen_fds(3)).
fn passed() -> Option<std::os::fd::OwnedFd> {
    use std::os::fd::{FromRawFd as _, OwnedFd};

    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|set| set == value);
    let passed = is("LISTEN_PID", &std::process::id().to_string()) && is("LISTEN_FDS", "1");
    // SAFETY: whoever started us says that it is open and ours; nothing else here takes descriptors by number.
    let descriptor = passed.then(|| unsafe { OwnedFd::from_raw_fd(3) })?;
    // It was passed to this process and to none that it starts.
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(descriptor)
}

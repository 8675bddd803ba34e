//! `srt monitor`: the service.

use std::path::PathBuf;

use super::message::Error;

/// What `srt monitor` was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `--json`.
    pub json: bool,
    /// `--otlp`.
    pub otlp: Option<String>,
    /// `--socket`.
    pub socket: Option<PathBuf>,
}

/// Serves to the end; 0.
#[cfg(target_os = "linux")]
pub(super) fn monitor(asked: Asked) -> Result<u8, Error> {
    use crate::monitor::{Setup, attach, monitor};

    let given = passed();
    let socket = asked.socket.unwrap_or_else(super::prepare::service_socket);
    let _ = crate::backend::ignore_sigpipe();
    if asked.json && given.is_none() && asked.otlp.is_none() && attach(&socket, &mut std::io::stdout())? {
        return Ok(0);
    }
    monitor(Setup { socket, given, json: asked.json, otlp: asked.otlp })?;
    Ok(0)
}

/// The socket that systemd passed, if it did: descriptor 3 (sd_listen_fds(3)).
#[cfg(target_os = "linux")]
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

/// The service is for the kernel's program, which there is on Linux only.
#[cfg(not(target_os = "linux"))]
pub(super) fn monitor(_: Asked) -> Result<u8, Error> {
    Err(crate::Fault::new("run the service", "it needs eBPF, which this system does not have").into())
}

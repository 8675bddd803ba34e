//! Signals that reach the supervisor.
//!
//! The command is in our process group: what the terminal sends (Ctrl-C) it has got already. What somebody sent to us by kill(2) is passed on. The two differ in
//! the sender that signalfd(2) reports.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Fault;
use crate::backend::{Channel, WATCHED};

/// The signals of `WATCHED` that the caller did not set to be ignored.
pub(super) struct Signals(AsyncFd<SignalFd>);

/// One signal.
pub(super) struct Received {
    number: i32,
    from_kernel: bool,
}

impl Signals {
    /// Starts reading. The signals are blocked since before the fork, so none was lost.
    pub(super) fn watch() -> Result<Self, Fault> {
        let watched: SigSet = WATCHED.iter().copied().filter(|signal| !is_ignored(*signal)).collect();
        let fault = |error: std::io::Error| Fault::os("read signals", error);
        let descriptor =
            SignalFd::with_flags(&watched, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(|errno| fault(errno.into()))?;
        // SAFETY: the SignalFd owns its descriptor and always names the same one.
        let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        Ok(Signals(registered.map_err(|error| fault(error.into()))?))
    }

    /// The next signal.
    pub(super) async fn next(&self) -> Result<Received, Fault> {
        loop {
            let mut ready = self.0.readable().await.map_err(|error| Fault::new("read signals", error))?;
            match self.0.get_ref().read_signal() {
                Ok(Some(info)) => return Ok(Received { number: info.ssi_signo as i32, from_kernel: info.ssi_code == libc::SI_KERNEL }),
                Ok(None) => ready.clear_ready(),
                Err(errno) => return Err(Fault::new("read signals", errno.desc().to_lowercase())),
            }
        }
    }
}

impl Received {
    /// Is it one that the command must see soon, so that no question may stand in its way?
    pub(super) fn interrupts(&self) -> bool {
        ![libc::SIGWINCH, libc::SIGCONT, libc::SIGTTIN, libc::SIGTTOU].contains(&self.number)
    }

    /// Gives it to the command, unless the command has it already. True where the command was asked to continue.
    pub(super) fn pass_on(&self, channel: &Channel) -> bool {
        // Asking for a stop by these two makes sense from the terminal only, whose own have reached the command.
        let terminal_stop = [libc::SIGTTIN, libc::SIGTTOU].contains(&self.number);
        // Where init is gone, its end is the next thing we read.
        let passed = !self.from_kernel && !terminal_stop && channel.forward(self.number).is_ok();
        passed && self.number == libc::SIGCONT
    }
}

/// `nohup` and background jobs of old shells ignore signals on purpose; the command inherits that, and so do we.
fn is_ignored(signal: Signal) -> bool {
    let probe = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: both actions installed here are without a handler, and the first is replaced at once while the signal is blocked.
    unsafe {
        match nix::sys::signal::sigaction(signal, &probe) {
            Ok(before) => {
                let ignored = matches!(before.handler(), SigHandler::SigIgn);
                let _ = nix::sys::signal::sigaction(signal, &before);
                ignored
            }
            Err(_) => false,
        }
    }
}

/// The command was stopped: so are we, for the shell that waits for us. Not where we have been asked to continue meanwhile: stopping would throw that away.
pub(super) fn stop_self() {
    if !continue_is_pending() {
        let _ = nix::sys::signal::raise(Signal::SIGSTOP);
    }
}

/// Signals that are blocked and wait (proc_pid_status(5)).
fn continue_is_pending() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let masks = status.lines().filter_map(|line| line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:")));
        masks.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).any(|mask| mask & (1 << (libc::SIGCONT - 1)) != 0)
    })
}

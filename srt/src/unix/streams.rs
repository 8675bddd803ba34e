//! Descriptors and signals as the caller left them.

use std::os::fd::{BorrowedFd, RawFd};

use nix::sys::signal::{SigHandler, Signal};
use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::{Fault, backend};

/// Opens `/dev/null` where standard input, output or error is closed: the next file opened would take its place.
///
/// # Errors
/// `/dev/null` cannot be opened.
pub fn open_standard_streams() -> Result<(), Fault> {
    for descriptor in 0..=2 {
        // SAFETY: the number is only asked about.
        if rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(descriptor) }).is_err() {
            let null =
                rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR, Mode::empty()).map_err(|errno| Fault::os("open /dev/null", errno))?;
            // Lower numbers are taken, so this is the one that was closed; it stays open for ever.
            std::mem::forget(null);
        }
    }
    Ok(())
}

/// Checks the descriptors that the command will have.
///
/// # Errors
/// One that is not open though it was named, or that leads to a directory, or was opened with `O_PATH`.
pub(crate) fn check(pass_fds: &[RawFd]) -> Result<(), Fault> {
    for descriptor in [0, 1, 2].iter().chain(pass_fds) {
        // SAFETY: the number is only used for calls that fail cleanly where it is not open.
        let borrowed = unsafe { BorrowedFd::borrow_raw(*descriptor) };
        let named = *descriptor > 2;
        match rustix::fs::fstat(borrowed) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                return Err(refuse(*descriptor, "it is a directory"));
            }
            Ok(_) => {}
            Err(error) if named => {
                return Err(Fault::os(format!("pass descriptor {descriptor}"), error));
            }
            Err(_) => continue,
        }
        if rustix::fs::fcntl_getfl(borrowed).is_ok_and(backend::is_path_only) {
            return Err(refuse(*descriptor, "it was opened with O_PATH"));
        }
    }
    Ok(())
}

fn refuse(descriptor: RawFd, cause: &str) -> Fault {
    Fault::new(format!("pass descriptor {descriptor} to the command"), cause)
        .hint("through it the command would reach files that no rule of the policy covers")
}

/// Signals that the supervisor takes as messages: to be passed on, or because their default action would part it from the command.
pub const WATCHED: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGWINCH,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// From now on, writing to a reader that is gone is an error and no signal. True where the caller had set that already.
pub fn ignore_sigpipe() -> bool {
    // SAFETY: ignoring a signal installs no handler.
    let before = unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    matches!(before, Ok(SigHandler::SigIgn))
}

//! Signals as bytes in a pipe.
//!
//! macOS has no signalfd(2). A handler writes the number of each signal into a pipe, and nothing else; the pipe is read like any other. Used by the supervisor and by
//! the watcher, each a process of its own.
//!
//! See sigaction(2), signal-safety(7).

use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};

use crate::unix::WATCHED;

/// Where the handler writes; below 0: nowhere.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// How often this process was asked to continue.
static CONTINUES: AtomicU32 = AtomicU32::new(0);

/// From the background, terminals send these to whoever uses them. They are blocked instead, so that a terminal can be given back.
const BLOCKED: [Signal; 2] = [Signal::SIGTTIN, Signal::SIGTTOU];

/// The signals of this process.
#[derive(Debug)]
pub(crate) struct Signals {
    reader: UnixStream,
    /// Kept open for the handler.
    writer: UnixStream,
}

extern "C" fn note(signal: libc::c_int) {
    let before = Errno::last_raw();
    if signal == libc::SIGCONT {
        CONTINUES.fetch_add(1, Ordering::Relaxed);
    }
    let byte = signal as u8;
    // SAFETY: write(2) may be called in a handler; the byte lives on this stack. A full pipe loses the signal: there are thousands in it already.
    unsafe { libc::write(PIPE.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
    Errno::set_raw(before);
}

/// The signals that are blocked from before the fork until each process has its handlers: the watched ones and SIGCHLD.
fn held() -> SigSet {
    let mut held: SigSet = WATCHED.iter().copied().collect();
    held.add(Signal::SIGCHLD);
    held
}

/// Holds all of them back; the mask of before.
///
/// # Errors
/// As sigprocmask(2).
pub(crate) fn hold() -> nix::Result<SigSet> {
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&held()), Some(&mut before))?;
    Ok(before)
}

/// The mask in force.
#[cfg(target_os = "macos")]
pub(crate) fn current() -> SigSet {
    SigSet::thread_get_mask().unwrap_or_else(|_| SigSet::empty())
}

/// Puts a mask back.
pub(crate) fn release(mask: &SigSet) -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(mask), None)
}

impl Signals {
    /// Takes every watched signal that the caller did not set to be ignored, and `SIGCHLD`; those held back so far come at once.
    ///
    /// # Errors
    /// No pipe can be made.
    pub(crate) fn watch() -> std::io::Result<Signals> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        PIPE.store(writer.as_raw_fd(), Ordering::Relaxed);
        let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::all());
        for signal in held().iter().filter(|signal| !BLOCKED.contains(signal)) {
            // SAFETY: the handler calls write(2) only, and leaves errno as it was.
            let before = unsafe { sigaction(signal, &action) }?;
            // `nohup` ignores signals on purpose. That of children is ours.
            if matches!(before.handler(), SigHandler::SigIgn) && signal != Signal::SIGCHLD {
                // SAFETY: this was in force until now.
                unsafe { sigaction(signal, &before) }?;
            }
        }
        let mut blocked = SigSet::empty();
        BLOCKED.iter().for_each(|signal| blocked.add(*signal));
        let mut open = held();
        BLOCKED.iter().for_each(|signal| open.remove(*signal));
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None)?;
        sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&open), None)?;
        Ok(Signals { reader, writer })
    }

    /// The number that the handler writes to.
    pub(crate) fn writer(&self) -> RawFd {
        self.writer.as_raw_fd()
    }

    /// Those that came, oldest first.
    pub(crate) fn take(&self) -> Vec<i32> {
        let mut taken = Vec::new();
        let mut bytes = [0; 256];
        while let Ok(count @ 1..) = (&self.reader).read(&mut bytes) {
            taken.extend(bytes[..count].iter().map(|byte| i32::from(*byte)));
        }
        taken
    }
}

/// How often this process was asked to continue, up to now.
pub(crate) fn continues() -> u32 {
    CONTINUES.load(Ordering::Relaxed)
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

//! Descriptors that the caller named for the protocol (`--status-fd`, `--control-fd`).
//!
//! Whoever holds the other end, or the same end, is not to notice that this process does not want to wait: a pipe is opened anew, which gives a description
//! with flags of its own; a socket is used with flags for each call (open(2), send(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::{Fault, backend};

/// Which way lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From srt to the caller.
    Out,
    /// From the caller to srt.
    In,
}

/// A descriptor of our own that leads where the caller's does, and never blocks.
#[derive(Debug)]
pub struct Descriptor {
    file: OwnedFd,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socket,
    /// A pipe, a FIFO, a terminal.
    Pipe,
    /// A regular file: neither read nor write ever waits, and epoll(7) refuses it.
    File,
}

impl Descriptor {
    /// Takes the caller's descriptor `number`, named with `option`.
    ///
    /// # Errors
    /// It is not open, open the wrong way, or a directory.
    pub fn take(number: RawFd, direction: Direction, option: &str) -> Result<Descriptor, Fault> {
        let fault = |cause: &str| Fault::new(format!("use descriptor {number} for {option}"), cause);
        // SAFETY: the number is only used for calls that fail cleanly where it is not open; nothing closes it meanwhile, for there is one thread.
        let given = unsafe { BorrowedFd::borrow_raw(number) };
        let os = |errno: Errno| fault(&crate::fault::errno_text(&errno.into()));
        let flags = rustix::fs::fcntl_getfl(given).map_err(os)?;
        let unfit = match direction {
            Direction::Out => OFlags::RDONLY,
            Direction::In => OFlags::WRONLY,
        };
        if backend::is_path_only(flags) || flags & OFlags::ACCMODE == unfit {
            return Err(fault(if direction == Direction::Out { "it is not open for writing" } else { "it is not open for reading" }));
        }
        let (file, kind) = match FileType::from_raw_mode(rustix::fs::fstat(given).map_err(os)?.st_mode) {
            FileType::Directory => return Err(fault("it is a directory")),
            FileType::Socket => (copy(given).map_err(os)?, Kind::Socket),
            FileType::RegularFile => (copy(given).map_err(os)?, Kind::File),
            _ => (without_waiting(given, direction).map_err(os)?, Kind::Pipe),
        };
        Ok(Descriptor { file, kind })
    }

    /// Can it be waited for?
    pub(super) fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// Writes what there is room for.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.kind {
            Kind::Socket => rustix::net::send(&self.file, bytes, SendFlags::DONTWAIT | backend::NO_SIGNAL),
            Kind::Pipe | Kind::File => rustix::io::write(&self.file, bytes),
        };
        Ok(written?)
    }

    /// Reads what is there; 0 at the end.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.kind {
            Kind::Socket => rustix::net::recv(&self.file, buffer, RecvFlags::DONTWAIT).map(|(_, read)| read),
            Kind::Pipe | Kind::File => rustix::io::read(&self.file, buffer),
        };
        Ok(read?)
    }
}

fn copy(given: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(given, 3)
}

/// The same pipe with a description of its own. Where that is not permitted (another user made the pipe, as under su), or not possible (macOS), the flag is set on the one
/// we were given.
fn without_waiting(given: BorrowedFd<'_>, direction: Direction) -> Result<OwnedFd, Errno> {
    let way = if direction == Direction::Out { OFlags::WRONLY } else { OFlags::RDONLY };
    let flags = way | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{}", given.as_raw_fd());
    rustix::fs::openat(CWD, path, flags, Mode::empty()).or_else(|_| {
        let own = copy(given)?;
        rustix::io::ioctl_fionbio(&own, true)?;
        Ok(own)
    })
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

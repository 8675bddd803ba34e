//! Files as objects: reached without being opened. See open(2), `O_PATH`.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

/// How a directory is opened that only leads to others: search permission is enough.
pub const ON_THE_WAY: OFlags = OFlags::PATH;

/// Writing to a socket whose reader is gone is an error and no signal.
pub const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// Was this descriptor opened with `O_PATH`? It reads and writes nothing, and leads everywhere below.
pub fn is_path_only(flags: OFlags) -> bool {
    flags.contains(OFlags::PATH)
}

/// Opens a directory to its owner. By descriptor: another run may be able to put a link in the place of the name, and the mode of what it leads to would be changed.
///
/// # Errors
/// It is no directory, or not ours.
pub fn open_to_owner(at: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let directory = rustix::fs::openat(at, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    rustix::fs::chmod(format!("/proc/self/fd/{}", directory.as_raw_fd()), Mode::RWXU)
}

//! Files as objects, as far as macOS has that.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

/// How a directory is opened that only leads to others: there is no `O_PATH`, so it must be readable.
pub const ON_THE_WAY: OFlags = OFlags::empty();

/// There is no such flag; `SIGPIPE` is ignored in the whole process.
pub const NO_SIGNAL: SendFlags = SendFlags::empty();

/// Descriptors that neither read nor write are not there.
pub fn is_path_only(_: OFlags) -> bool {
    false
}

/// Opens a directory to its owner. Where a link has been put in its place, the mode of the link changes, and of nothing else.
///
/// # Errors
/// As fchmodat(2).
pub fn open_to_owner(at: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    rustix::fs::chmodat(at, name, Mode::RWXU, AtFlags::SYMLINK_NOFOLLOW)
}

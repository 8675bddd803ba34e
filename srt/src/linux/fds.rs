//! Which descriptors the sandbox gets.
//!
//! A descriptor is a right that no later rule takes away: one that leads to a directory reaches the host's whole tree through `openat`. So everything above 2 is closed
//! unless it was named, and directories are refused even then. See close_range(2).

use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::{Errno, FdFlags};

use super::sys::close_range;
use crate::Fault;

/// Checks the descriptors that the command will have.
///
/// # Errors
/// One that is not open though it was named, or that leads to a directory, or was opened with `O_PATH`.
pub(super) fn check(pass_fds: &[RawFd]) -> Result<(), Fault> {
    for descriptor in [0, 1, 2].iter().chain(pass_fds) {
        // SAFETY: the number is only used for calls that fail cleanly where it is not open.
        let borrowed = unsafe { BorrowedFd::borrow_raw(*descriptor) };
        let named = *descriptor > 2;
        match rustix::fs::fstat(borrowed) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                return Err(refuse(*descriptor, "it is a directory"));
            }
            Ok(_) => {}
            Err(error) if named => return Err(Fault::new(format!("pass descriptor {descriptor}"), error)),
            Err(_) => continue,
        }
        if rustix::fs::fcntl_getfl(borrowed).is_ok_and(|flags| flags.contains(OFlags::PATH)) {
            return Err(refuse(*descriptor, "it was opened with O_PATH"));
        }
    }
    Ok(())
}

fn refuse(descriptor: RawFd, cause: &str) -> Fault {
    Fault::new(format!("pass descriptor {descriptor} to the command"), cause)
        .hint("through it the command would reach files that no rule of the policy covers")
}

/// Closes everything above 2 but `keep`.
pub(super) fn close_all_but(keep: &[RawFd]) -> Result<(), Errno> {
    let mut keep: Vec<u32> =
        keep.iter().filter_map(|descriptor| u32::try_from(*descriptor).ok()).filter(|descriptor| *descriptor > 2).collect();
    keep.sort_unstable();
    close_gaps(&keep)
}

/// As [`close_all_but`] for a list that is sorted already: allocates nothing, for use between vfork and execve.
pub(super) fn close_gaps(keep: &[u32]) -> Result<(), Errno> {
    let mut first = 3;
    for descriptor in keep {
        if first < *descriptor {
            close_range(first, descriptor - 1)?;
        }
        first = descriptor + 1;
    }
    close_range(first, u32::MAX)
}

/// Lets a descriptor survive execve(2).
pub(super) fn keep_over_exec(descriptor: u32) -> Result<(), Errno> {
    // SAFETY: the number was checked to be open in `check`, and nothing closed it since.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor as RawFd) };
    debug_assert!(borrowed.as_raw_fd() > 2);
    rustix::io::fcntl_setfd(borrowed, FdFlags::empty())
}

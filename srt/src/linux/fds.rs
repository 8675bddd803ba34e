//! Which descriptors the sandbox gets.
//!
//! A descriptor is a right that no later rule takes away: one that leads to a directory reaches the host's whole tree through `openat`. So everything above 2 is closed
//! unless it was named, and directories are refused even then. See close_range(2).

use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, SeekFrom};
use rustix::io::{Errno, FdFlags};

use super::failure::Failure;
use super::sys::{close_range, replace};
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
            Err(error) if named => {
                return Err(Fault::new(format!("pass descriptor {descriptor}"), crate::fault::errno_text(&error.into())));
            }
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

/// A regular file that the command gets for reading.
///
/// Its descriptor belongs to the host's mounts, where it could be changed all the same: fchmod(2) needs no write access, and `/proc/self/fd/0` opens it anew for
/// writing. So it is opened again through the sandbox's own tree, where what is read-only is read-only.
#[derive(Debug)]
pub(super) struct Reader {
    descriptor: RawFd,
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// The regular files among the descriptors that are open for reading only and still have a name.
pub(super) fn readers(pass_fds: &[RawFd]) -> Vec<Reader> {
    [0, 1, 2].iter().chain(pass_fds).filter_map(|descriptor| reader(*descriptor)).collect()
}

fn reader(descriptor: RawFd) -> Option<Reader> {
    // SAFETY: as in `check`.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let stat = rustix::fs::fstat(borrowed).ok()?;
    let read_only = rustix::fs::fcntl_getfl(borrowed).ok()? & OFlags::ACCMODE == OFlags::RDONLY;
    let named = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink > 0;
    if !(read_only && named) {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
    Some(Reader { descriptor, path, device: stat.st_dev, inode: stat.st_ino })
}

/// Opens the files again, from inside the new tree, at the same offset.
pub(super) fn reopen(readers: &[Reader]) -> Result<(), Failure> {
    readers.iter().try_for_each(|reader| {
        let action = || format!("pass descriptor {} ({})", reader.descriptor, reader.path.display());
        reader.reopen().map_err(|errno| Failure::new(action(), errno).gap("reader"))
    })
}

impl Reader {
    fn reopen(&self) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let fresh = rustix::fs::openat2(CWD, &self.path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS)?;
        let stat = rustix::fs::fstat(&fresh)?;
        if (stat.st_dev, stat.st_ino) != (self.device, self.inode) {
            // Another object lies there in the new tree: the file is hidden.
            return Err(Errno::ACCESS);
        }
        // SAFETY: the number was open when the reader was made, and init has closed nothing since.
        let old = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
        rustix::fs::seek(&fresh, SeekFrom::Start(rustix::fs::tell(old)?))?;
        replace(&fresh, self.descriptor)
    }
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

//! Which descriptors the sandbox gets.
//!
//! A descriptor is a right that no later rule takes away: one that leads to a directory reaches the host's whole tree through `openat`. So everything above 2 is closed
//! unless it was named, and directories are refused even then. See close_range(2).

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, MemfdFlags, Mode, OFlags, ResolveFlags, SeekFrom};
use rustix::io::{Errno, FdFlags};

use super::failure::{Failure, Step as _};
use super::sys::{close_range, replace};

/// A descriptor that is opened again through the sandbox's own tree.
///
/// As it came, it belongs to the host's mounts, where it could be changed whatever the policy says: fchmod(2) needs no write access, and `/proc/self/fd/0` opens a file
/// for writing that was given for reading. In the new tree it lies on a read-only mount.
#[derive(Debug)]
pub(super) struct Inherited {
    descriptor: RawFd,
    kind: Kind,
    device: u64,
    inode: u64,
}

#[derive(Debug)]
enum Kind {
    /// A regular file with a name, open for reading only.
    File(PathBuf),
    /// Such a file without a name, or in `/proc` or `/dev`, which are made new for the sandbox: it gets a copy.
    Copy,
    /// A device that may be one of the sandbox's: the caller's terminal, which is `/dev/console` inside, or `/dev/null` and its like.
    Device(OFlags),
}

/// Those of the command's descriptors that must be opened again.
pub(super) fn inherited(pass_fds: &[RawFd]) -> Vec<Inherited> {
    [0, 1, 2].iter().chain(pass_fds).filter_map(|descriptor| inspect(*descriptor)).collect()
}

fn inspect(descriptor: RawFd) -> Option<Inherited> {
    // SAFETY: as in `check`.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let stat = rustix::fs::fstat(borrowed).ok()?;
    let access = rustix::fs::fcntl_getfl(borrowed).ok()? & OFlags::ACCMODE;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        // A file without a name: a here-document, or memory that somebody else may still be writing to.
        FileType::RegularFile if access == OFlags::RDONLY && stat.st_nlink == 0 => Kind::Copy,
        FileType::RegularFile if access == OFlags::RDONLY => {
            let path = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
            if path.starts_with("/proc") || path.starts_with("/dev") { Kind::Copy } else { Kind::File(path) }
        }
        FileType::CharacterDevice => Kind::Device(access),
        _ => return None,
    };
    Some(Inherited { descriptor, kind, device: stat.st_dev, inode: stat.st_ino })
}

/// Opens them again, inside the new tree.
pub(super) fn reopen(descriptors: &[Inherited]) -> Result<(), Failure> {
    descriptors.iter().try_for_each(|inherited| match &inherited.kind {
        Kind::File(path) => inherited
            .file(path)
            .map_err(|errno| Failure::new(format!("pass descriptor {} ({})", inherited.descriptor, path.display()), errno).gap("reader")),
        Kind::Copy => {
            inherited.copy().map_err(|errno| Failure::new(format!("copy descriptor {}", inherited.descriptor), errno).gap("reader"))
        }
        Kind::Device(access) => inherited.device(*access).step("pass a device"),
    })
}

impl Inherited {
    fn file(&self, path: &Path) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let fresh = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS)?;
        if !self.is_same(&fresh)? {
            // Another object lies there in the new tree: the file is hidden.
            return Err(Errno::ACCESS);
        }
        // SAFETY: the number was open when it was inspected, and init has closed nothing since.
        let old = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
        rustix::fs::seek(&fresh, SeekFrom::Start(rustix::fs::tell(old)?))?;
        replace(&fresh, self.descriptor)
    }

    /// A device that the sandbox has not got, or that the caller could not open itself (a terminal after su), is passed as it came.
    fn device(&self, access: OFlags) -> Result<(), Errno> {
        for name in super::mounts::TERMINALS.iter().chain(super::mounts::DEVICES) {
            let path = Path::new("/dev").join(name);
            let Ok(found) = rustix::fs::openat(CWD, &path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) else {
                continue;
            };
            if self.is_same(&found)? {
                return match rustix::fs::openat(CWD, &path, access | OFlags::NOFOLLOW | OFlags::NOCTTY, Mode::empty()) {
                    Ok(fresh) => replace(&fresh, self.descriptor),
                    Err(_) => Ok(()),
                };
            }
        }
        Ok(())
    }

    /// What the kernel makes up when it is read is small; a file in shared memory may be large, and can come through a pipe.
    fn copy(&self) -> Result<(), Errno> {
        const MOST: u64 = 64 << 20;
        // SAFETY: the number was open when it was inspected, and init has closed nothing since.
        let old = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
        let copy = rustix::fs::memfd_create("stdin", MemfdFlags::empty())?;
        let mut buffer = vec![0; 64 << 10];
        let mut length = 0;
        loop {
            let read = rustix::io::pread(old, &mut buffer, length)?;
            if read == 0 {
                break;
            }
            length += read as u64;
            if length > MOST {
                return Err(Errno::FBIG);
            }
            write_all(&copy, &buffer[..read])?;
        }
        rustix::fs::seek(&copy, SeekFrom::Start(rustix::fs::tell(old)?))?;
        replace(&copy, self.descriptor)
    }

    fn is_same(&self, other: &OwnedFd) -> Result<bool, Errno> {
        let stat = rustix::fs::fstat(other)?;
        Ok((stat.st_dev, stat.st_ino) == (self.device, self.inode))
    }
}

/// All of a small file, from its start.
pub(super) fn read_all(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match rustix::io::pread(file, &mut buffer, bytes.len() as u64)? {
            0 => return Ok(bytes),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        bytes = &bytes[rustix::io::write(file, bytes)?..];
    }
    Ok(())
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

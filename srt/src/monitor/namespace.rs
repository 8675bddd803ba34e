//! Is this descriptor the pid namespace of a sandbox of this user?
//!
//! See ioctl_nsfs(2).

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

/// Inode number of the host's first pid namespace (`PROC_PID_INIT_INO`): the same on every kernel.
const OF_HOST: u32 = 0xEFFF_FFFC;

const NS_GET_USERNS: libc::c_ulong = 0xb701;
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
const NS_GET_OWNER_UID: libc::c_ulong = 0xb704;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoPidNamespace,
    OfHost,
    OfAnother,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refusal::NoPidNamespace => "the descriptor is no pid namespace",
            Refusal::OfHost => "this is the pid namespace of the host",
            Refusal::OfAnother => "this pid namespace belongs to another user",
        })
    }
}

/// The inode number of the namespace, where `uid` may have it watched.
///
/// A name is looked at first: the kernel makes it, and asks no file system for it. Any other question about a descriptor may be answered by its sender, at his leisure (FUSE).
pub(super) fn of(descriptor: BorrowedFd<'_>, uid: u32) -> Result<u32, Refusal> {
    let inode = inode_in_name(descriptor).ok_or(Refusal::NoPidNamespace)?;
    if ask(descriptor, NS_GET_NSTYPE) != Ok(libc::CLONE_NEWPID) {
        return Err(Refusal::NoPidNamespace);
    }
    if inode == OF_HOST {
        return Err(Refusal::OfHost);
    }
    if uid != 0 && owner(descriptor) != Ok(uid) {
        return Err(Refusal::OfAnother);
    }
    Ok(inode)
}

/// The name of a pid namespace is `pid:[4026531836]`; that of anything with a path begins with `/`, and those of other things with other words.
fn inode_in_name(descriptor: BorrowedFd<'_>) -> Option<u32> {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).ok()?;
    name.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

/// The user who made the user namespace that the namespace belongs to.
fn owner(descriptor: BorrowedFd<'_>) -> Result<u32, Errno> {
    let number = ask(descriptor, NS_GET_USERNS)?;
    // SAFETY: the kernel has just opened it for us, and nobody else knows of it.
    let user = unsafe { OwnedFd::from_raw_fd(number) };
    let mut uid: libc::uid_t = 0;
    // SAFETY: the descriptor is open, and the request writes one uid_t to a place that is one.
    let result = unsafe { libc::ioctl(user.as_raw_fd(), NS_GET_OWNER_UID as _, &raw mut uid) };
    if result == 0 { Ok(uid) } else { Err(last_error()) }
}

fn ask(descriptor: impl AsFd, request: libc::c_ulong) -> Result<i32, Errno> {
    // SAFETY: the descriptor is open, and these requests take no argument.
    let result = unsafe { libc::ioctl(descriptor.as_fd().as_raw_fd(), request as _) };
    if result >= 0 { Ok(result) } else { Err(last_error()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, uid: u32) -> Result<u32, Refusal> {
        of(std::fs::File::open(path).unwrap().as_fd(), uid)
    }

    #[test]
    fn whatever_is_no_pid_namespace_is_refused() {
        let directory = std::env::temp_dir().join(format!("pid:[{}]", std::process::id()));
        std::fs::write(&directory, "").unwrap();
        for path in ["/dev/null", "/proc/self/ns/user", "/proc/self/ns/mnt", "/proc/self/status", "/", directory.to_str().unwrap()] {
            for uid in [0, 1000] {
                assert_eq!(check(path, uid), Err(Refusal::NoPidNamespace), "{path}");
            }
        }
        std::fs::remove_file(directory).unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(of(reader.as_fd(), 0), Err(Refusal::NoPidNamespace));
    }

    #[test]
    fn nobody_may_have_the_host_watched_nor_what_is_not_his() {
        let own = check("/proc/self/ns/pid", 0);
        if own != Err(Refusal::OfHost) {
            // The test itself runs in a namespace: root's, or a container's.
            assert!(own.is_ok_and(|inode| inode != OF_HOST));
        }
        assert!(check("/proc/self/ns/pid", 64_999).is_err());
    }
}

//! The two families of mount calls, behind one interface.
//!
//! The new one (open_tree, move_mount, fsopen, fsmount: Linux 5.2; mount_setattr: 5.12) works on descriptors: a tree is cloned detached, its attributes are set
//! recursively in one call, and only then it is attached. The old one, mount(2), binds first and restricts afterwards, mount by mount; its paths are
//! `/proc/self/fd/N`, so that it too acts on what was opened and not on a name.
//!
//! Nothing here decides what is mounted where.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags};

use super::mount_table::{self, Mount};
use super::sys::mount_setattr;

/// What may not be done beneath a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Restrictions {
    pub(super) read_only: bool,
    /// Device nodes do not work.
    pub(super) no_devices: bool,
    /// Files cannot be executed.
    pub(super) no_exec: bool,
}

impl Restrictions {
    pub(super) const READ_ONLY: Self = Restrictions { read_only: true, no_devices: true, no_exec: false };
    pub(super) const WRITABLE: Self = Restrictions { read_only: false, no_devices: true, no_exec: false };
    /// Where device nodes work. Those bound from the host are read-only mounts: that stops chmod and its like on the host's node, and nothing else.
    pub(super) const DEVICE: Self = Restrictions { read_only: false, no_devices: false, no_exec: true };
    pub(super) const DATA: Self = Restrictions { read_only: false, no_devices: true, no_exec: true };

    /// Set-user-id bits never work here: `no_new_privs` is set, and this says it once more.
    fn attributes(self) -> MountAttrFlags {
        let mut flags = MountAttrFlags::MOUNT_ATTR_NOSUID;
        flags.set(MountAttrFlags::MOUNT_ATTR_RDONLY, self.read_only);
        flags.set(MountAttrFlags::MOUNT_ATTR_NODEV, self.no_devices);
        flags.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, self.no_exec);
        flags
    }

    fn flags(self) -> MountFlags {
        let mut flags = MountFlags::NOSUID;
        flags.set(MountFlags::RDONLY, self.read_only);
        flags.set(MountFlags::NODEV, self.no_devices);
        flags.set(MountFlags::NOEXEC, self.no_exec);
        flags
    }
}

/// Which family is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MountApi {
    New,
    Old,
}

impl MountApi {
    /// Cuts the tree off from mounts that the host makes later, and the host from ours.
    pub(super) fn make_private(self) -> Result<(), Errno> {
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
    }

    /// Puts a copy of the tree at `source`, restricted, onto `target`; returns its root.
    pub(super) fn bind(self, source: BorrowedFd<'_>, target: BorrowedFd<'_>, restrictions: Restrictions) -> Result<OwnedFd, Errno> {
        match self {
            MountApi::New => {
                let tree = clone_tree(source)?;
                mount_setattr(tree.as_fd(), restrictions.attributes().bits().into())?;
                attach(&tree, target)?;
                Ok(tree)
            }
            MountApi::Old => {
                rustix::mount::mount_bind_recursive(fd_path(source).as_c_str(), fd_path(target).as_c_str())?;
                let root = open_top(target)?;
                restrict_recursively(root.as_fd(), restrictions)?;
                Ok(root)
            }
        }
    }

    /// Mounts a new file system onto `target`; returns its root.
    pub(super) fn create(
        self,
        kind: &CStr,
        options: &[(&CStr, &CStr)],
        target: BorrowedFd<'_>,
        restrictions: Restrictions,
    ) -> Result<OwnedFd, Errno> {
        match self {
            MountApi::New => {
                let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
                for (key, value) in options {
                    if value.is_empty() {
                        rustix::mount::fsconfig_set_flag(&context, *key)?;
                    } else {
                        rustix::mount::fsconfig_set_string(&context, *key, *value)?;
                    }
                }
                rustix::mount::fsconfig_create(&context)?;
                let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, restrictions.attributes())?;
                attach(&mount, target)?;
                Ok(mount)
            }
            MountApi::Old => {
                rustix::mount::mount(kind, fd_path(target).as_c_str(), kind, restrictions.flags(), option_text(options).as_c_str())?;
                open_top(target)
            }
        }
    }
}

fn clone_tree(source: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(source, c"", flags)
}

fn attach(mount: &OwnedFd, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", target, c"", flags)
}

fn fd_path(fd: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default()
}

fn option_text(options: &[(&CStr, &CStr)]) -> CString {
    let one = |(key, value): &(&CStr, &CStr)| {
        if value.is_empty() { key.to_bytes().to_vec() } else { [key.to_bytes(), b"=", value.to_bytes()].concat() }
    };
    let joined = options.iter().map(one).collect::<Vec<_>>().join(&b',');
    CString::new(joined).unwrap_or_default()
}

/// The mount that was just put onto `target`: a descriptor still shows what is beneath, and only a walk by name arrives on top.
fn open_top(target: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let name = rustix::fs::readlink(fd_path(target).as_c_str(), Vec::new())?;
    rustix::fs::openat(CWD, name.as_c_str(), OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
}

/// mount(2) restricts one mount at a time: the mount at `root` and every mount below it.
fn restrict_recursively(root: BorrowedFd<'_>, restrictions: Restrictions) -> Result<(), Errno> {
    let top = rustix::fs::readlink(fd_path(root).as_c_str(), Vec::new())?;
    let table = mount_table::read()?;
    // Of mounts at one point only the last can be named, and reached.
    let reached: BTreeMap<&[u8], &Mount> =
        table.iter().filter(|mount| mount.is_within(top.to_bytes())).map(|mount| (mount.point.as_slice(), mount)).collect();
    for mount in reached.values() {
        let point = CString::new(mount.point.as_slice()).map_err(|_| Errno::INVAL)?;
        // Flags that the mount has already are locked in a user namespace: leaving one out would be refused.
        let flags = MountFlags::BIND | restrictions.flags() | mount.flags;
        match rustix::mount::mount_remount(point.as_c_str(), flags, c"") {
            // A mount beneath another one cannot be named, and so cannot be reached either.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT | Errno::ACCESS) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_joined_as_mount_wants_them() {
        assert_eq!(option_text(&[(c"mode", c"0755"), (c"newinstance", c"")]).as_c_str(), c"mode=0755,newinstance");
    }
}

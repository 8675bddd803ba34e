//! Where a path starts: names from the inside to the root.
//!
//! As `prepend_path` of the kernel walks, without its locks: a rename at this very moment can give a mixed path.

use srt_ebpf::{MOST_DIRECTORY, MOST_NAMES, WORKING_DIRECTORY, flag};

use crate::kernel::{Address, file, offset};
use crate::scratch::Text;

/// `AT_FDCWD`.
const AT_FDCWD: i32 = -100;

/// A `struct path`, or what is known of one.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    mount: Address,
    dentry: Address,
}

/// Where a walk is, and where it ends.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    at: Place,
    root: Place,
}

/// What [`step`] says.
mod said {
    pub(super) const GO_ON: u32 = 0;
    pub(super) const ROOT: u32 = 1;
    pub(super) const UNREADABLE: u32 = 2;
}

#[inline(always)]
fn place(path: Address) -> Place {
    Place { mount: path.at(offset!(path_mnt)).follow(), dentry: path.at(offset!(path_dentry)).follow() }
}

/// Writes the names of the directory that argument `directory` stands for; the new flags.
#[inline(always)]
pub(crate) fn write(task: Address, directory: u8, argument: u64, out: &mut Text) -> u16 {
    let fs = task.at(offset!(task_fs)).follow();
    let at_working_directory = directory == WORKING_DIRECTORY || argument as i32 == AT_FDCWD;
    let start = if at_working_directory { fs.at(offset!(fs_pwd)) } else { file(task, argument).at(offset!(file_path)) };
    let since = out.position();
    out.set_walk(Walk { at: place(start), root: place(fs.at(offset!(fs_root))) });
    let flags = walk();
    // Looked at once, and not name by name: the walk is bounded by the number of names.
    if out.position().wrapping_sub(since) > MOST_DIRECTORY {
        out.take_back(since);
        return flag::CUT;
    }
    flags
}

#[inline(always)]
fn walk() -> u16 {
    for _ in 0..MOST_NAMES {
        match step() {
            said::GO_ON => {}
            said::ROOT => return 0,
            _ => return flag::UNREADABLE,
        }
    }
    flag::CUT
}

/// One step of the walk whose state lies beside the record: a name and upwards, or through a mount.
///
/// A function that the verifier looks at by itself (`srt` declares it global), once and not in every round of the loop: it takes nothing, and gives back a number.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn step() -> u32 {
    let Some(mut out) = Text::resume() else { return said::UNREADABLE };
    let Walk { at, root } = out.walk();
    if at == root {
        return said::ROOT;
    }
    let next = if at.dentry == at.mount.at(offset!(vfsmount_root)).follow() {
        let mount = at.mount.before(offset!(mount_mnt));
        let parent = mount.at(offset!(mount_parent)).follow();
        if parent == mount {
            // The top of another tree: as far as names go.
            return said::ROOT;
        }
        Place { mount: parent.at(offset!(mount_mnt)), dentry: mount.at(offset!(mount_mountpoint)).follow() }
    } else {
        let parent = at.dentry.at(offset!(dentry_parent)).follow();
        if parent == at.dentry {
            // Of no file system that is mounted anywhere: a pipe, a removed directory.
            return said::ROOT;
        }
        if !out.push_name(at.dentry.at(offset!(dentry_name)).follow()) {
            return said::UNREADABLE;
        }
        Place { dentry: parent, ..at }
    };
    out.set_walk(Walk { at: next, root });
    said::GO_ON
}

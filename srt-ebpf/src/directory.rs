//! Where a path starts: names from the inside to the root.
//!
//! As `prepend_path` of the kernel walks, without its locks: a rename at this very moment can give a mixed path.

use srt_ebpf::{MOST_DIRECTORY, MOST_NAMES, WORKING_DIRECTORY, flag};

use crate::kernel::{Address, file, offset};
use crate::scratch::Text;

/// `AT_FDCWD`.
const AT_FDCWD: i32 = -100;

/// A `struct path`.
#[derive(Clone, Copy)]
struct Place {
    mount: Address,
    dentry: Address,
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
    let flags = walk(place(start), place(fs.at(offset!(fs_root))), out);
    // Looked at once, and not name by name: a value that is compared in a loop is followed by the verifier through every round.
    if out.position().wrapping_sub(since) > MOST_DIRECTORY {
        out.take_back(since);
        return flag::CUT;
    }
    flags
}

#[inline(always)]
fn walk(mut at: Place, root: Place, out: &mut Text) -> u16 {
    for _ in 0..MOST_NAMES {
        if at.dentry == root.dentry && at.mount == root.mount {
            return 0;
        }
        if at.dentry == at.mount.at(offset!(vfsmount_root)).follow() {
            let mount = at.mount.before(offset!(mount_mnt));
            let parent = mount.at(offset!(mount_parent)).follow();
            if parent == mount {
                // The top of another tree: as far as names go.
                return 0;
            }
            at = Place { mount: parent.at(offset!(mount_mnt)), dentry: mount.at(offset!(mount_mountpoint)).follow() };
            continue;
        }
        let parent = at.dentry.at(offset!(dentry_parent)).follow();
        if parent == at.dentry {
            // Of no file system that is mounted anywhere: a pipe, a removed directory.
            return 0;
        }
        if !out.push_name(at.dentry.at(offset!(dentry_name)).follow()) {
            return flag::UNREADABLE;
        }
        at.dentry = parent;
    }
    flag::CUT
}

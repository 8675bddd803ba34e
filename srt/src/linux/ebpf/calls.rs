//! The system calls that the program looks at, and which of their arguments say what they are about.
//!
//! See syscalls(2) and the page of each call.

use libc::c_long;
#[cfg(test)]
use srt_ebpf::NONE;
use srt_ebpf::{Calls, MOST_CALLS, Shape, WORKING_DIRECTORY, wanted};

/// What a call wants of what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Opens it: for reading or for writing, as the argument with this number says.
    Open(u8),
    /// Reads it, or reads about it.
    Read,
    /// Executes it.
    Execute,
    /// Makes, changes or removes it.
    Change,
    /// Moves or links the first to the second.
    Pair,
    /// Reaches an address.
    Reach,
    /// Gives a socket a name or an address.
    Name,
    /// None of these: what matters is the call.
    Itself,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number.
    pub number: c_long,
    /// What it wants.
    pub aim: Aim,
    shape: Shape,
    /// The kernel's function behind it, without its prefix (`__x64_sys_`).
    function: &'static str,
}

/// What the functions behind system calls begin with (`SYSCALL_DEFINE`, Linux 4.17).
#[cfg(target_arch = "x86_64")]
const PREFIX: &str = "__x64_sys_";
#[cfg(target_arch = "aarch64")]
const PREFIX: &str = "__arm64_sys_";

/// Sees what seccomp refuses: then the function behind the call is never reached.
pub(super) const FILTER: &str = "__seccomp_filter";

const PATH: Shape = Shape { path: 0, directory: WORKING_DIRECTORY, ..Shape::PLAIN };
const PATH_AT: Shape = Shape { path: 1, directory: 0, ..Shape::PLAIN };
const OBJECT: Shape = Shape { directory: 0, ..Shape::PLAIN };
#[cfg(target_arch = "x86_64")]
const TWO: Shape = Shape { path: 0, directory: WORKING_DIRECTORY, second_path: 1, second_directory: WORKING_DIRECTORY, ..Shape::PLAIN };
const TWO_AT: Shape = Shape { path: 1, directory: 0, second_path: 3, second_directory: 2, ..Shape::PLAIN };
/// The first path is the text of a link, and no path of anything.
#[cfg(target_arch = "x86_64")]
const LINK_TEXT: Shape = Shape { second_path: 1, second_directory: WORKING_DIRECTORY, ..Shape::PLAIN };
const LINK_TEXT_AT: Shape = Shape { second_path: 2, second_directory: 1, ..Shape::PLAIN };

const fn call(number: c_long, function: &'static str, aim: Aim, shape: Shape) -> Call {
    Call { number, aim, shape, function }
}

impl Call {
    /// May it be for reading?
    fn is_read(&self) -> bool {
        matches!(self.aim, Aim::Open(_) | Aim::Read | Aim::Execute)
    }
}

/// Linux 6.13; these have the same numbers on every architecture.
const SYS_GETXATTRAT: c_long = 464;
const SYS_LISTXATTRAT: c_long = 465;
/// Linux 6.17.
const SYS_FILE_GETATTR: c_long = 468;

/// On every architecture.
const CALLS: &[Call] = &[
    call(libc::SYS_openat, "openat", Aim::Open(2), PATH_AT),
    call(libc::SYS_execve, "execve", Aim::Execute, PATH),
    call(libc::SYS_execveat, "execveat", Aim::Execute, PATH_AT),
    call(libc::SYS_newfstatat, "newfstatat", Aim::Read, PATH_AT),
    call(libc::SYS_statx, "statx", Aim::Read, PATH_AT),
    call(libc::SYS_statfs, "statfs", Aim::Read, PATH),
    call(libc::SYS_faccessat, "faccessat", Aim::Read, PATH_AT),
    call(libc::SYS_faccessat2, "faccessat2", Aim::Read, PATH_AT),
    call(libc::SYS_readlinkat, "readlinkat", Aim::Read, PATH_AT),
    call(libc::SYS_chdir, "chdir", Aim::Read, PATH),
    call(libc::SYS_getxattr, "getxattr", Aim::Read, PATH),
    call(libc::SYS_lgetxattr, "lgetxattr", Aim::Read, PATH),
    call(libc::SYS_listxattr, "listxattr", Aim::Read, PATH),
    call(libc::SYS_llistxattr, "llistxattr", Aim::Read, PATH),
    call(SYS_GETXATTRAT, "getxattrat", Aim::Read, PATH_AT),
    call(SYS_LISTXATTRAT, "listxattrat", Aim::Read, PATH_AT),
    call(SYS_FILE_GETATTR, "file_getattr", Aim::Read, PATH_AT),
    call(libc::SYS_name_to_handle_at, "name_to_handle_at", Aim::Read, PATH_AT),
    call(libc::SYS_fchdir, "fchdir", Aim::Read, OBJECT),
    call(libc::SYS_inotify_add_watch, "inotify_add_watch", Aim::Read, Shape { path: 1, directory: WORKING_DIRECTORY, ..Shape::PLAIN }),
    call(libc::SYS_fanotify_mark, "fanotify_mark", Aim::Read, Shape { path: 4, directory: 3, ..Shape::PLAIN }),
    // From here on, what the broker tells of where there is one.
    call(libc::SYS_mkdirat, "mkdirat", Aim::Change, PATH_AT),
    call(libc::SYS_mknodat, "mknodat", Aim::Change, PATH_AT),
    call(libc::SYS_unlinkat, "unlinkat", Aim::Change, PATH_AT),
    call(libc::SYS_renameat, "renameat", Aim::Pair, TWO_AT),
    call(libc::SYS_renameat2, "renameat2", Aim::Pair, TWO_AT),
    call(libc::SYS_linkat, "linkat", Aim::Pair, TWO_AT),
    call(libc::SYS_symlinkat, "symlinkat", Aim::Change, LINK_TEXT_AT),
    call(libc::SYS_truncate, "truncate", Aim::Change, PATH),
    call(libc::SYS_fchmod, "fchmod", Aim::Change, OBJECT),
    call(libc::SYS_fchmodat, "fchmodat", Aim::Change, PATH_AT),
    call(libc::SYS_fchown, "fchown", Aim::Change, OBJECT),
    call(libc::SYS_fchownat, "fchownat", Aim::Change, PATH_AT),
    call(libc::SYS_utimensat, "utimensat", Aim::Change, PATH_AT),
    call(libc::SYS_setxattr, "setxattr", Aim::Change, PATH),
    call(libc::SYS_lsetxattr, "lsetxattr", Aim::Change, PATH),
    call(libc::SYS_removexattr, "removexattr", Aim::Change, PATH),
    call(libc::SYS_connect, "connect", Aim::Reach, Shape { address: 1, ..Shape::PLAIN }),
    call(libc::SYS_bind, "bind", Aim::Name, Shape { address: 1, ..Shape::PLAIN }),
    call(libc::SYS_sendto, "sendto", Aim::Reach, Shape { address: 4, ..Shape::PLAIN }),
    call(libc::SYS_sendmsg, "sendmsg", Aim::Reach, Shape { message: 1, ..Shape::PLAIN }),
];

/// Those that newer architectures never had.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[Call] = &[
    call(libc::SYS_open, "open", Aim::Open(1), PATH),
    call(libc::SYS_stat, "newstat", Aim::Read, PATH),
    call(libc::SYS_lstat, "newlstat", Aim::Read, PATH),
    call(libc::SYS_access, "access", Aim::Read, PATH),
    call(libc::SYS_readlink, "readlink", Aim::Read, PATH),
    call(libc::SYS_creat, "creat", Aim::Change, PATH),
    call(libc::SYS_mkdir, "mkdir", Aim::Change, PATH),
    call(libc::SYS_mknod, "mknod", Aim::Change, PATH),
    call(libc::SYS_unlink, "unlink", Aim::Change, PATH),
    call(libc::SYS_rmdir, "rmdir", Aim::Change, PATH),
    call(libc::SYS_rename, "rename", Aim::Pair, TWO),
    call(libc::SYS_link, "link", Aim::Pair, TWO),
    call(libc::SYS_symlink, "symlink", Aim::Change, LINK_TEXT),
    call(libc::SYS_chmod, "chmod", Aim::Change, PATH),
    call(libc::SYS_chown, "chown", Aim::Change, PATH),
    call(libc::SYS_lchown, "lchown", Aim::Change, PATH),
    call(libc::SYS_utime, "utime", Aim::Change, PATH),
    call(libc::SYS_utimes, "utimes", Aim::Change, PATH),
    call(libc::SYS_futimesat, "futimesat", Aim::Change, PATH_AT),
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[Call] = &[];

/// What a run wants to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What no broker sees: reading and executing.
    Reads,
    /// Everything.
    All,
}

/// The call with this number; none where it is not looked at by its arguments.
pub fn find(number: u32) -> Option<&'static Call> {
    CALLS.iter().chain(LEGACY).find(|call| call.number == c_long::from(number))
}

/// The calls of a scope.
fn of(scope: Scope) -> impl Iterator<Item = &'static Call> {
    CALLS.iter().chain(LEGACY).filter(move |call| scope == Scope::All || call.is_read())
}

/// The table for the program.
pub(super) fn table() -> Calls {
    let mut shapes = [Shape::UNWANTED; MOST_CALLS];
    for number in crate::linux::seccomp::refused_calls() {
        set(&mut shapes, number, Shape::PLAIN);
    }
    for call in of(Scope::All) {
        let wanted = if call.is_read() { wanted::ALWAYS } else { wanted::WITHOUT_BROKER };
        set(&mut shapes, call.number, Shape { wanted, ..call.shape });
    }
    Calls(shapes)
}

fn set(shapes: &mut [Shape; MOST_CALLS], number: c_long, shape: Shape) {
    if let Some(place) = usize::try_from(number).ok().and_then(|number| shapes.get_mut(number)) {
        *place = shape;
    }
}

/// The functions of the kernel to attach to.
pub(super) fn functions(scope: Scope) -> Vec<String> {
    of(scope).map(|call| format!("{PREFIX}{}", call.function)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::call_name;

    #[test]
    fn every_call_has_a_name_and_arguments_that_exist() {
        for call in of(Scope::All) {
            assert!(!call_name(call.number).starts_with("syscall"), "{}", call.number);
            let Shape { path, second_path, address, message, .. } = call.shape;
            assert!([path, second_path, address, message].iter().all(|number| *number < 6 || *number == NONE), "{}", call.function);
        }
    }

    #[test]
    fn reads_are_fewer_than_all_calls() {
        assert!(functions(Scope::Reads).len() < functions(Scope::All).len());
    }

    #[test]
    fn what_a_broker_tells_of_is_left_to_it() {
        let shapes = table().0;
        let wanted = |number: c_long| shapes[number as usize].wanted;
        assert_eq!([wanted(libc::SYS_openat), wanted(libc::SYS_mkdirat), wanted(libc::SYS_mount)], [1, 2, 2]);
        assert_eq!(wanted(libc::SYS_getppid), wanted::NEVER);
    }
}

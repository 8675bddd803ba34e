//! Calls that take a path, in one table: for races on the path, and for paths that no caller should pass.

use std::ffi::CString;
use std::sync::atomic::AtomicU8;

use crate::answer::{Answer, Failure, Operation, number, ok};
use crate::kernel::raw;

pub(crate) const CWD: libc::c_long = libc::AT_FDCWD as libc::c_long;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "at", arguments: &["CALL", "PATH", "OTHER"], run: at },
    Operation { name: "bad-pointer", arguments: &["CALL"], run: |a| ok(named(&a[0])?.make(CWD, 8, 8)) },
    Operation { name: "long-path", arguments: &["CALL", "LENGTH"], run: long_path },
    Operation { name: "path-calls", arguments: &[], run: |_| Ok(CALLS.iter().map(|call| call.name).collect::<Vec<_>>().join(" ")) },
];

/// One call on a path. The second path is used by those that take two.
pub(crate) struct PathCall {
    /// What is written on the command line.
    pub(crate) name: &'static str,
    number: libc::c_long,
    /// From a directory's descriptor and the addresses of the path and the other path.
    arguments: fn(libc::c_long, libc::c_long, libc::c_long) -> [libc::c_long; 6],
    /// What must be so before each try for the call to succeed.
    pub(crate) wants: Wants,
}

/// What lies at the two paths before a try.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Whatever is there.
    Anything,
    /// A file at the path.
    File,
    /// A file at the path and nothing at the other.
    FileAndNoOther,
    /// Nothing at the path.
    Nothing,
    /// Nothing at the path and a file at the other.
    NothingAndOther,
    /// A file at the other path.
    Other,
}

const CREATE: libc::c_long = (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as libc::c_long;
/// Two entries of utimensat(2): 1 second after the epoch.
static TIMES: [libc::timespec; 2] = [libc::timespec { tv_sec: 1, tv_nsec: 0 }; 2];

/// The table.
pub(crate) const CALLS: &[PathCall] = &[
    PathCall { name: "open", number: libc::SYS_openat, arguments: |dir, path, _| [dir, path, CREATE, 0o644, 0, 0], wants: Wants::Anything },
    PathCall { name: "mkdir", number: libc::SYS_mkdirat, arguments: |dir, path, _| [dir, path, 0o755, 0, 0, 0], wants: Wants::Nothing },
    PathCall {
        name: "mknod",
        number: libc::SYS_mknodat,
        arguments: |dir, path, _| [dir, path, libc::S_IFIFO as libc::c_long | 0o644, 0, 0, 0],
        wants: Wants::Nothing,
    },
    PathCall {
        name: "symlink-to",
        number: libc::SYS_symlinkat,
        arguments: |dir, path, other| [other, dir, path, 0, 0, 0],
        wants: Wants::Nothing,
    },
    PathCall { name: "unlink", number: libc::SYS_unlinkat, arguments: |dir, path, _| [dir, path, 0, 0, 0, 0], wants: Wants::File },
    PathCall {
        name: "rename-to",
        number: libc::SYS_renameat2,
        arguments: |dir, path, other| [CWD, other, dir, path, 0, 0],
        wants: Wants::Other,
    },
    PathCall {
        name: "rename-from",
        number: libc::SYS_renameat2,
        arguments: |dir, path, other| [dir, path, CWD, other, 0, 0],
        wants: Wants::File,
    },
    PathCall {
        name: "link-to",
        number: libc::SYS_linkat,
        arguments: |dir, path, other| [CWD, other, dir, path, 0, 0],
        wants: Wants::NothingAndOther,
    },
    PathCall {
        name: "link-from",
        number: libc::SYS_linkat,
        arguments: |dir, path, other| [dir, path, CWD, other, 0, 0],
        wants: Wants::FileAndNoOther,
    },
    PathCall { name: "chmod", number: libc::SYS_fchmodat, arguments: |dir, path, _| [dir, path, 0o600, 0, 0, 0], wants: Wants::File },
    PathCall {
        name: "utimens",
        number: libc::SYS_utimensat,
        arguments: |dir, path, _| [dir, path, TIMES.as_ptr() as libc::c_long, 0, 0, 0],
        wants: Wants::File,
    },
    PathCall { name: "truncate", number: libc::SYS_truncate, arguments: |_, path, _| [path, 0, 0, 0, 0, 0], wants: Wants::File },
];

impl PathCall {
    /// Makes the call on two addresses.
    pub(crate) fn make(&self, dir: libc::c_long, path: libc::c_long, other: libc::c_long) -> std::io::Result<libc::c_long> {
        raw(self.number, (self.arguments)(dir, path, other))
    }

    /// The descriptor that an open left behind is closed again.
    pub(crate) fn make_and_close(&self, dir: libc::c_long, path: libc::c_long, other: libc::c_long) -> std::io::Result<()> {
        let value = self.make(dir, path, other)?;
        if self.number == libc::SYS_openat {
            raw(libc::SYS_close, [value, 0, 0, 0, 0, 0])?;
        }
        Ok(())
    }
}

/// The call of that name.
pub(crate) fn named(name: &str) -> Result<&'static PathCall, Failure> {
    CALLS.iter().find(|call| call.name == name).ok_or_else(|| Failure::Usage(format!("no call {name}")))
}

/// A path for the kernel.
pub(crate) fn c_path(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::Usage("a path holds no NUL".into()))
}

/// The address of a string that the caller keeps alive.
pub(crate) fn address(text: &CString) -> libc::c_long {
    text.as_ptr() as libc::c_long
}

/// One call of the table.
fn at(arguments: &[String]) -> Answer {
    let (path, other) = (c_path(&arguments[1])?, c_path(&arguments[2])?);
    ok(named(&arguments[0])?.make(CWD, address(&path), address(&other)))
}

/// A path of LENGTH bytes below a directory that does not exist: nothing but its length can matter before that.
fn long_path(arguments: &[String]) -> Answer {
    let (length, missing) = (number(&arguments[1])? as usize, "/srt-missing/x");
    let text: String = "/.".chars().cycle().take(length.saturating_sub(missing.len()) / 2 * 2).collect::<String>() + missing;
    let (path, other) = (c_path(&text)?, c_path("x")?);
    ok(named(&arguments[0])?.make(CWD, address(&path), address(&other)))
}

/// A path that another thread rewrites while the kernel, or whoever acts for it, reads it.
pub(crate) struct Shared(Vec<AtomicU8>);

impl Shared {
    /// With the end of string.
    pub(crate) fn new(text: &str) -> Self {
        Shared(text.bytes().chain([0]).map(AtomicU8::new).collect())
    }

    /// Its address, valid as long as `self`.
    pub(crate) fn address(&self) -> libc::c_long {
        self.0.as_ptr() as libc::c_long
    }

    /// The only byte in which the two texts differ, in turn of the one and of the other: there is never a third text in memory.
    pub(crate) fn byte(&self, at: usize) -> &AtomicU8 {
        &self.0[at]
    }
}

/// Where two texts of one length differ.
pub(crate) fn difference(one: &str, other: &str) -> Result<usize, Failure> {
    let places: Vec<usize> = (0..one.len().min(other.len())).filter(|&at| one.as_bytes()[at] != other.as_bytes()[at]).collect();
    match places.as_slice() {
        [at] if one.len() == other.len() => Ok(*at),
        _ => Err(Failure::Usage(format!("{one} and {other} must differ in one byte"))),
    }
}

//! Metadata changed through a descriptor that was opened for reading, or for nothing: no write permission is needed for that.

use crate::answer::{Answer, Failure, Operation, ok};
use crate::kernel::raw;
use crate::path_calls::{CWD, address, c_path};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "by-descriptor", arguments: &["WAY", "PATH"], run: change },
    Operation { name: "descriptor-ways", arguments: &[], run: |_| Ok(WAYS.iter().map(|way| way.name).collect::<Vec<_>>().join(" ")) },
];

struct Way {
    name: &'static str,
    /// How the file is opened first.
    flags: libc::c_int,
    number: libc::c_long,
    /// From the descriptor, its name in `/proc/self/fd`, and the caller's uid.
    arguments: fn(libc::c_long, libc::c_long, libc::c_long) -> [libc::c_long; 6],
}

/// Two entries of utimensat(2): 1 second after the epoch.
static TIMES: [libc::timespec; 2] = [libc::timespec { tv_sec: 1, tv_nsec: 0 }; 2];
static EMPTY: &std::ffi::CStr = c"";
static ATTRIBUTE: &std::ffi::CStr = c"user.srt";
const EMPTY_PATH: libc::c_long = libc::AT_EMPTY_PATH as libc::c_long;
/// Leaves the group as it is.
const SAME: libc::c_long = -1;

const WAYS: &[Way] = &[
    Way { name: "fchmod", flags: libc::O_RDONLY, number: libc::SYS_fchmod, arguments: |fd, _, _| [fd, 0o600, 0, 0, 0, 0] },
    Way { name: "fchown", flags: libc::O_RDONLY, number: libc::SYS_fchown, arguments: |fd, _, uid| [fd, uid, SAME, 0, 0, 0] },
    Way {
        name: "futimens",
        flags: libc::O_RDONLY,
        number: libc::SYS_utimensat,
        arguments: |fd, _, _| [fd, 0, TIMES.as_ptr() as libc::c_long, 0, 0, 0],
    },
    Way {
        name: "fsetxattr",
        flags: libc::O_RDONLY,
        number: libc::SYS_fsetxattr,
        arguments: |fd, _, _| [fd, ATTRIBUTE.as_ptr() as libc::c_long, TIMES.as_ptr() as libc::c_long, 1, 0, 0],
    },
    Way {
        name: "fchownat-empty",
        flags: libc::O_PATH,
        number: libc::SYS_fchownat,
        arguments: |fd, _, uid| [fd, EMPTY.as_ptr() as libc::c_long, uid, SAME, EMPTY_PATH, 0],
    },
    Way {
        name: "utimensat-empty",
        flags: libc::O_PATH,
        number: libc::SYS_utimensat,
        arguments: |fd, _, _| [fd, EMPTY.as_ptr() as libc::c_long, TIMES.as_ptr() as libc::c_long, EMPTY_PATH, 0, 0],
    },
    Way { name: "proc-chmod", flags: libc::O_PATH, number: libc::SYS_fchmodat, arguments: |_, name, _| [CWD, name, 0o600, 0, 0, 0] },
    Way { name: "proc-truncate", flags: libc::O_PATH, number: libc::SYS_truncate, arguments: |_, name, _| [name, 0, 0, 0, 0, 0] },
    Way {
        name: "proc-open",
        flags: libc::O_PATH,
        number: libc::SYS_openat,
        arguments: |_, name, _| [CWD, name, (libc::O_WRONLY | libc::O_TRUNC) as libc::c_long, 0, 0, 0],
    },
    Way {
        name: "proc-reopen",
        flags: libc::O_RDONLY,
        number: libc::SYS_openat,
        arguments: |_, name, _| [CWD, name, (libc::O_WRONLY | libc::O_TRUNC) as libc::c_long, 0, 0, 0],
    },
];

/// Opens PATH without asking to write, then changes it.
fn change(arguments: &[String]) -> Answer {
    let way = WAYS.iter().find(|way| way.name == arguments[0]).ok_or_else(|| Failure::Usage(format!("no way {}", arguments[0])))?;
    let path = c_path(&arguments[1])?;
    let fd = raw(libc::SYS_openat, [CWD, address(&path), way.flags.into(), 0, 0, 0])?;
    let name = c_path(&format!("/proc/self/fd/{fd}"))?;
    let uid = raw(libc::SYS_getuid, [0; 6])?;
    ok(raw(way.number, (way.arguments)(fd, address(&name), uid)))
}

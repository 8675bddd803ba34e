//! Every call that gives a file its mode, made raw: the C library would choose among them.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::answer::{Answer, Failure, Operation, number, ok};
use crate::files::mode_of;
use crate::kernel::raw;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "fchmod", arguments: &["FD", "MODE"], run: fchmod },
    Operation { name: "set-user-id", arguments: &["WAY", "PATH"], run: set_user_id },
];

fn fchmod(arguments: &[String]) -> Answer {
    let mode = u32::from_str_radix(&arguments[1], 8).map_err(|_| Failure::Usage("MODE is octal".into()))?;
    ok(raw(libc::SYS_fchmod, [number(&arguments[0])?, mode.into(), 0, 0, 0, 0]))
}

/// Set-user-id, and the usual mode of a program.
const MODE: libc::c_long = 0o4755;
const CWD: libc::c_long = libc::AT_FDCWD as libc::c_long;
const CREATE: libc::c_long = (libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY) as libc::c_long;
const REGULAR: libc::c_long = libc::S_IFREG as libc::c_long | MODE;
/// Linux 6.6; the same number on every architecture.
const SYS_FCHMODAT2: libc::c_long = 452;
/// `struct open_how`: flags, mode, resolve.
static HOW: [u64; 3] = [CREATE as u64, MODE as u64, 0];

/// Name, number, and arguments from the address of a path and a descriptor of the file.
type Way = (&'static str, libc::c_long, fn(libc::c_long, libc::c_long) -> [libc::c_long; 6]);

/// They change a file that is there.
const CHANGING: &[Way] = &[
    #[cfg(target_arch = "x86_64")]
    ("chmod", libc::SYS_chmod, |path, _| [path, MODE, 0, 0, 0, 0]),
    ("fchmod", libc::SYS_fchmod, |_, fd| [fd, MODE, 0, 0, 0, 0]),
    ("fchmodat", libc::SYS_fchmodat, |path, _| [CWD, path, MODE, 0, 0, 0]),
    ("fchmodat2", SYS_FCHMODAT2, |path, _| [CWD, path, MODE, 0, 0, 0]),
];

/// They make one; there is no descriptor then.
const MAKING: &[Way] = &[
    #[cfg(target_arch = "x86_64")]
    ("open", libc::SYS_open, |path, _| [path, CREATE, MODE, 0, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    ("creat", libc::SYS_creat, |path, _| [path, MODE, 0, 0, 0, 0]),
    #[cfg(target_arch = "x86_64")]
    ("mknod", libc::SYS_mknod, |path, _| [path, REGULAR, 0, 0, 0, 0]),
    ("openat", libc::SYS_openat, |path, _| [CWD, path, CREATE, MODE, 0, 0]),
    ("openat2", libc::SYS_openat2, |path, _| [CWD, path, HOW.as_ptr() as libc::c_long, 24, 0, 0]),
    ("mknodat", libc::SYS_mknodat, |path, _| [CWD, path, REGULAR, 0, 0, 0]),
];

/// Makes a set-user-id file at PATH, and prints the mode that it has then. `list` prints the ways.
fn set_user_id(arguments: &[String]) -> Answer {
    let (way, path) = (arguments[0].as_str(), Path::new(&arguments[1]));
    let named = |ways: &'static [Way]| ways.iter().find(|(name, ..)| *name == way);
    if way == "list" {
        let names: Vec<&str> = CHANGING.iter().chain(MAKING).map(|(name, ..)| *name).chain(["tmpfile"]).collect();
        return Ok(names.join(" "));
    }
    if let Some(way) = named(CHANGING) {
        make(way, path, &File::create(path)?)?;
    } else if let Some(way) = named(MAKING) {
        make(way, path, &io::stdin())?;
    } else if way == "tmpfile" {
        unnamed(path)?;
    } else {
        return Err(Failure::Usage(format!("no way {way}")));
    }
    mode_of(path)
}

fn make((_, call, arguments): &Way, path: &Path, file: &impl AsRawFd) -> Result<(), Failure> {
    let path = c_path(path)?;
    raw(*call, arguments(path.as_ptr() as libc::c_long, file.as_raw_fd().into()))?;
    Ok(())
}

/// A file without a name that gets one afterwards.
fn unnamed(path: &Path) -> Result<(), Failure> {
    let directory = c_path(path.parent().ok_or_else(|| Failure::Usage("PATH has a parent".into()))?)?;
    let flags = libc::c_long::from(libc::O_TMPFILE | libc::O_WRONLY);
    let file = raw(libc::SYS_openat, [CWD, directory.as_ptr() as libc::c_long, flags, MODE, 0, 0])?;
    let (from, to) = (c_path(Path::new(&format!("/proc/self/fd/{file}")))?, c_path(path)?);
    let (from, to) = (from.as_ptr() as libc::c_long, to.as_ptr() as libc::c_long);
    raw(libc::SYS_linkat, [CWD, from, CWD, to, libc::AT_SYMLINK_FOLLOW.into(), 0])?;
    Ok(())
}

fn c_path(path: &Path) -> Result<CString, Failure> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Failure::Usage("a path holds no NUL".into()))
}

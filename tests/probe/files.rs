//! Operations on paths.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::SystemTime;

use crate::answer::{Answer, Failure, Operation, number, ok};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "read", arguments: &["PATH"], run: |a| ok(File::open(&a[0]).and_then(|mut file| file.read(&mut [0; 1]))) },
    Operation { name: "cat", arguments: &["PATH"], run: |a| Ok(String::from_utf8_lossy(&fs::read(&a[0])?).into_owned()) },
    Operation { name: "write", arguments: &["PATH"], run: |a| ok(OpenOptions::new().write(true).open(&a[0]).and_then(put)) },
    Operation { name: "append", arguments: &["PATH"], run: |a| ok(OpenOptions::new().append(true).open(&a[0]).and_then(put)) },
    Operation {
        name: "create",
        arguments: &["PATH"],
        run: |a| ok(OpenOptions::new().write(true).create_new(true).open(&a[0]).and_then(put)),
    },
    Operation { name: "creat", arguments: &["PATH"], run: creat },
    Operation { name: "truncate", arguments: &["PATH"], run: truncate },
    Operation { name: "mkdir", arguments: &["PATH"], run: |a| ok(fs::create_dir(&a[0])) },
    Operation { name: "rmdir", arguments: &["PATH"], run: |a| ok(fs::remove_dir(&a[0])) },
    Operation { name: "unlink", arguments: &["PATH"], run: |a| ok(fs::remove_file(&a[0])) },
    Operation { name: "rename", arguments: &["FROM", "TO"], run: |a| ok(fs::rename(&a[0], &a[1])) },
    Operation { name: "exchange", arguments: &["A", "B"], run: exchange },
    Operation { name: "link", arguments: &["FROM", "TO"], run: |a| ok(fs::hard_link(&a[0], &a[1])) },
    Operation { name: "symlink", arguments: &["TARGET", "PATH"], run: |a| ok(symlink(&a[0], &a[1])) },
    Operation { name: "chmod", arguments: &["MODE", "PATH"], run: chmod },
    Operation { name: "chown", arguments: &["UID", "GID", "PATH"], run: chown },
    Operation { name: "utimens", arguments: &["PATH"], run: utimens },
    Operation { name: "setxattr", arguments: &["NAME", "PATH"], run: setxattr },
    Operation { name: "mknod", arguments: &["fifo|char|block", "PATH"], run: mknod },
    Operation { name: "stat", arguments: &["PATH"], run: |a| ok(fs::metadata(&a[0])) },
    Operation { name: "mode", arguments: &["PATH"], run: |a| mode_of(Path::new(&a[0])) },
    Operation { name: "readlink", arguments: &["PATH"], run: |a| Ok(fs::read_link(&a[0])?.display().to_string()) },
    Operation { name: "readdir", arguments: &["PATH"], run: readdir },
    Operation { name: "open", arguments: &["PATH", "FLAGS"], run: open },
    Operation { name: "exec", arguments: &["PATH"], run: exec },
    Operation { name: "chdir", arguments: &["PATH"], run: |a| ok(std::env::set_current_dir(&a[0])) },
];

/// In octal, with the bits above the nine.
pub(crate) fn mode_of(path: &Path) -> Answer {
    Ok(format!("{:o}", fs::metadata(path)?.permissions().mode() & 0o7777))
}

fn put(mut file: File) -> io::Result<()> {
    file.write_all(b"x")
}

fn c_path(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::Usage("a path holds no NUL".into()))
}

/// Turns the return value of a call that sets errno into a result.
fn checked(value: libc::c_int) -> io::Result<()> {
    if value == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn truncate(arguments: &[String]) -> Answer {
    let path = c_path(&arguments[0])?;
    // SAFETY: `path` is a NUL-terminated string that lives through the call.
    ok(checked(unsafe { libc::truncate(path.as_ptr(), 0) }))
}

fn creat(arguments: &[String]) -> Answer {
    let path = c_path(&arguments[0])?;
    // SAFETY: the path is NUL-terminated; the descriptor, if any, is closed when this process ends.
    ok(checked(unsafe { libc::creat(path.as_ptr(), 0o600) }))
}

fn exchange(arguments: &[String]) -> Answer {
    let (a, b) = (c_path(&arguments[0])?, c_path(&arguments[1])?);
    // SAFETY: both strings are NUL-terminated and live through the call.
    ok(checked(unsafe { libc::renameat2(libc::AT_FDCWD, a.as_ptr(), libc::AT_FDCWD, b.as_ptr(), libc::RENAME_EXCHANGE) }))
}

fn chmod(arguments: &[String]) -> Answer {
    let mode = u32::from_str_radix(&arguments[0], 8).map_err(|_| Failure::Usage("MODE is octal".into()))?;
    ok(fs::set_permissions(&arguments[1], fs::Permissions::from_mode(mode)))
}

fn chown(arguments: &[String]) -> Answer {
    let id = |text: &str| number(text).and_then(|id| u32::try_from(id).map_err(|_| Failure::Usage("bad id".into())));
    ok(std::os::unix::fs::chown(&arguments[2], Some(id(&arguments[0])?), Some(id(&arguments[1])?)))
}

fn utimens(arguments: &[String]) -> Answer {
    let path = c_path(&arguments[0])?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|e| Failure::Other(e.to_string()))?;
    let time = libc::timespec { tv_sec: now.as_secs() as libc::time_t, tv_nsec: 0 };
    let times = [time, time];
    // SAFETY: the path is NUL-terminated, and `times` holds the two entries that utimensat(2) reads.
    ok(checked(unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), 0) }))
}

fn setxattr(arguments: &[String]) -> Answer {
    let (name, path) = (c_path(&arguments[0])?, c_path(&arguments[1])?);
    // SAFETY: both strings are NUL-terminated; the value is one readable byte, as its length says.
    ok(checked(unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), b"x".as_ptr().cast(), 1, 0) }))
}

fn mknod(arguments: &[String]) -> Answer {
    let path = c_path(&arguments[1])?;
    let (kind, device) = match arguments[0].as_str() {
        "fifo" => (libc::S_IFIFO, 0),
        "char" => (libc::S_IFCHR, libc::makedev(1, 3)),
        "block" => (libc::S_IFBLK, libc::makedev(7, 0)),
        other => return Err(Failure::Usage(format!("no kind {other}"))),
    };
    // SAFETY: the path is NUL-terminated and lives through the call.
    ok(checked(unsafe { libc::mknod(path.as_ptr(), kind | 0o600, device) }))
}

/// Prints the sorted names, separated by spaces: an empty directory prints an empty line.
fn readdir(arguments: &[String]) -> Answer {
    let mut names = Vec::new();
    for entry in fs::read_dir(&arguments[0])? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join(" "))
}

fn open(arguments: &[String]) -> Answer {
    let path = c_path(&arguments[0])?;
    let flags = number(&arguments[1])? as libc::c_int;
    // SAFETY: the path is NUL-terminated; the descriptor, if any, is closed when this process ends.
    ok(checked(unsafe { libc::open(path.as_ptr(), flags, 0o600) }))
}

/// Replaces this process; only a failure comes back.
fn exec(arguments: &[String]) -> Answer {
    Err(std::process::Command::new(Path::new(&arguments[0])).args(&arguments[1..]).exec().into())
}

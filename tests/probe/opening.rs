//! What an open leaves behind: flags, mode, limits, and files that get their name later.

use std::io;
use std::time::{Duration, Instant};

use crate::answer::{Answer, Failure, Operation, number, ok};
use crate::kernel::raw;
use crate::path_calls::{CWD, address, c_path};
use crate::storm::handle;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "open-state", arguments: &["PATH", "FLAGS", "MODE", "UMASK"], run: open_state },
    Operation { name: "made-mode", arguments: &["CALL", "PATH", "MODE", "UMASK"], run: made_mode },
    Operation { name: "open-until-full", arguments: &["LIMIT", "PATH"], run: open_until_full },
    Operation { name: "beyond-size-limit", arguments: &["CALL", "LIMIT", "PATH"], run: beyond_size_limit },
    Operation { name: "tmpfile-link", arguments: &["DIR", "PATH"], run: tmpfile_link },
    Operation { name: "fifo-interrupted", arguments: &["restart|plain", "FIFO"], run: fifo_interrupted },
    Operation { name: "two-locks", arguments: &["PATH"], run: two_locks },
];

/// Any flags can be asked for, so the open is made raw; the descriptor lives as long as this process.
fn open(path: &str, flags: libc::c_long, mode: libc::c_long) -> Result<libc::c_long, Failure> {
    let path = c_path(path)?;
    Ok(raw(libc::SYS_openat, [CWD, address(&path), flags, mode, 0, 0])?)
}

fn set_umask(text: &str) -> Result<(), Failure> {
    raw(libc::SYS_umask, [number(text)?, 0, 0, 0, 0, 0])?;
    Ok(())
}

/// The descriptor's number, its flags as fcntl(2) reads them back, and the mode of the file.
fn open_state(arguments: &[String]) -> Answer {
    set_umask(&arguments[3])?;
    let fd = open(&arguments[0], number(&arguments[1])?, number(&arguments[2])?)?;
    let status = raw(libc::SYS_fcntl, [fd, libc::F_GETFL.into(), 0, 0, 0, 0])?;
    let descriptor = raw(libc::SYS_fcntl, [fd, libc::F_GETFD.into(), 0, 0, 0, 0])?;
    let mode = crate::files::mode_of(format!("/proc/self/fd/{fd}").as_ref())?;
    Ok(format!("fd={fd} flags={status:o} cloexec={descriptor} mode={mode}"))
}

/// The mode that something gets from the call that makes it.
fn made_mode(arguments: &[String]) -> Answer {
    set_umask(&arguments[3])?;
    let (path, mode) = (c_path(&arguments[1])?, number(&arguments[2])?);
    match arguments[0].as_str() {
        "mkdir" => raw(libc::SYS_mkdirat, [CWD, address(&path), mode, 0, 0, 0])?,
        "mkfifo" => raw(libc::SYS_mknodat, [CWD, address(&path), libc::S_IFIFO as libc::c_long | mode, 0, 0, 0])?,
        "mknod" => raw(libc::SYS_mknodat, [CWD, address(&path), libc::S_IFREG as libc::c_long | mode, 0, 0, 0])?,
        "open" => open(&arguments[1], (libc::O_CREAT | libc::O_WRONLY).into(), mode)?,
        other => return Err(Failure::Usage(format!("no call {other}"))),
    };
    crate::files::mode_of(arguments[1].as_ref())
}

fn set_limit(resource: libc::__rlimit_resource_t, limit: i64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: limit as u64, rlim_max: limit as u64 };
    // SAFETY: `limit` lives through the call, which only reads it.
    if unsafe { libc::setrlimit(resource, &raw const limit) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Creates until the limit of descriptors is reached; the last answer tells, and with a free number it must go on again.
fn open_until_full(arguments: &[String]) -> Answer {
    set_limit(libc::RLIMIT_NOFILE, number(&arguments[0])?)?;
    let flags = libc::c_long::from(libc::O_CREAT | libc::O_WRONLY);
    let mut last = -1;
    let full = loop {
        match open(&arguments[1], flags, 0o600) {
            Ok(fd) => last = fd,
            Err(failure) => break failure,
        }
    };
    raw(libc::SYS_close, [last, 0, 0, 0, 0, 0])?;
    if open(&arguments[1], flags, 0o600)? != last || last + 1 != number(&arguments[0])? {
        return Err(Failure::Other(format!("the last descriptor was {last}")));
    }
    Err(full)
}

/// Grows a file beyond RLIMIT_FSIZE.
fn beyond_size_limit(arguments: &[String]) -> Answer {
    let limit = number(&arguments[1])?;
    // The signal would end this process before it could tell the errno.
    // SAFETY: ignoring a signal touches no memory.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    set_limit(libc::RLIMIT_FSIZE, limit)?;
    let path = c_path(&arguments[2])?;
    ok(match arguments[0].as_str() {
        "truncate" => raw(libc::SYS_truncate, [address(&path), limit + 1, 0, 0, 0, 0]),
        "ftruncate" => raw(libc::SYS_ftruncate, [open(&arguments[2], libc::O_WRONLY.into(), 0)?, limit + 1, 0, 0, 0, 0]),
        other => return Err(Failure::Usage(format!("no call {other}"))),
    })
}

/// A file without a name in DIR, which then gets the name PATH.
fn tmpfile_link(arguments: &[String]) -> Answer {
    let fd = open(&arguments[0], (libc::O_TMPFILE | libc::O_WRONLY).into(), 0o644)?;
    let content = b"unnamed before";
    raw(libc::SYS_write, [fd, content.as_ptr() as libc::c_long, content.len() as libc::c_long, 0, 0, 0])?;
    let (from, to) = (c_path(&format!("/proc/self/fd/{fd}"))?, c_path(&arguments[1])?);
    ok(raw(libc::SYS_linkat, [CWD, address(&from), CWD, address(&to), libc::AT_SYMLINK_FOLLOW.into(), 0]))
}

/// Opens a FIFO for writing; a signal is handled after 200 ms, and the other end comes after 600.
fn fifo_interrupted(arguments: &[String]) -> Answer {
    handle(libc::SIGALRM, arguments[0] == "restart")?;
    let timer =
        libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: libc::timeval { tv_sec: 0, tv_usec: 200_000 } };
    let other_end = arguments[1].clone();
    let start = Instant::now();
    let reader = std::thread::spawn(move || {
        block(libc::SIGALRM);
        std::thread::sleep(Duration::from_millis(600));
        // It need not wait for a writer, and the waiting writer goes on all the same.
        drop(open(&other_end, (libc::O_RDONLY | libc::O_NONBLOCK).into(), 0));
    });
    raw(libc::SYS_setitimer, [libc::ITIMER_REAL.into(), std::ptr::from_ref(&timer) as libc::c_long, 0, 0, 0, 0])?;
    let opened = open(&arguments[1], libc::O_WRONLY.into(), 0);
    let waited = start.elapsed();
    drop(reader.join());
    match opened {
        Ok(_) if waited < Duration::from_millis(500) => Err(Failure::Other("opened without another end".into())),
        Ok(_) => Ok("ok".into()),
        Err(failure) => Err(failure),
    }
}

/// Leaves a signal to the other threads.
fn block(signal: libc::c_int) {
    // SAFETY: all-zero bytes are a valid empty set, and both calls touch only `set`, which lives through them.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// A lock belongs to the open file description: a second one of the same file does not get it.
fn two_locks(arguments: &[String]) -> Answer {
    let lock = || -> Result<io::Result<libc::c_long>, Failure> {
        let fd = open(&arguments[0], (libc::O_CREAT | libc::O_RDWR).into(), 0o600)?;
        Ok(raw(libc::SYS_flock, [fd, (libc::LOCK_EX | libc::LOCK_NB).into(), 0, 0, 0, 0]))
    };
    lock()??;
    ok(lock()?)
}

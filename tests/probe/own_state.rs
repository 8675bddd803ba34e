//! Threads with a state of their own, and processes that nobody may look into.

use std::io;

use crate::answer::{Answer, Failure, Operation, ok};
use crate::kernel::raw;
use crate::path_calls::{CWD, address, c_path};
use crate::race::directory;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "own-cwd", arguments: &["DIR", "NAME"], run: own_cwd },
    Operation { name: "own-table", arguments: &["DIR", "OTHER-DIR", "NAME"], run: own_table },
    Operation { name: "own-umask", arguments: &["PATH"], run: own_umask },
    Operation { name: "landlock-ruleset", arguments: &[], run: landlock_ruleset },
    Operation { name: "behind-listener", arguments: &["COMMAND"], run: behind_listener },
    Operation { name: "undumpable", arguments: &["PATH"], run: undumpable },
];

fn create(dir: libc::c_long, name: &str) -> Result<libc::c_long, Failure> {
    let name = c_path(name)?;
    let flags = libc::c_long::from(libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY);
    Ok(raw(libc::SYS_openat, [dir, address(&name), flags, 0o666, 0, 0])?)
}

fn in_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    std::thread::spawn(work).join().map_err(|_| Failure::Other("the thread panicked".into()))?
}

fn unshare(flag: libc::c_int) -> io::Result<libc::c_long> {
    raw(libc::SYS_unshare, [flag.into(), 0, 0, 0, 0, 0])
}

/// A thread whose working directory is DIR, while that of the others stays: NAME is created in both.
fn own_cwd(arguments: &[String]) -> Answer {
    let (dir, name) = (c_path(&arguments[0])?, arguments[1].clone());
    in_thread(move || {
        unshare(libc::CLONE_FS)?;
        raw(libc::SYS_chdir, [address(&dir), 0, 0, 0, 0, 0])?;
        create(CWD, &name)
    })?;
    create(CWD, &arguments[1])?;
    Ok("ok".into())
}

/// A thread in whose table of descriptors a number stands for DIR, which stands for OTHER-DIR in the table of the rest: the thread creates
/// NAME below that number, writes into the descriptor it gets, and prints that.
fn own_table(arguments: &[String]) -> Answer {
    let other = directory(&arguments[1])?;
    let (dir, name) = (arguments[0].clone(), arguments[2].clone());
    in_thread(move || {
        unshare(libc::CLONE_FILES)?;
        raw(libc::SYS_dup3, [directory(&dir)?, other, 0, 0, 0, 0])?;
        let file = create(other, &name)?;
        ok(raw(libc::SYS_write, [file, b"x".as_ptr() as libc::c_long, 1, 0, 0, 0]))
    })
}

/// A thread whose umask is 077, while that of the others is 0; prints the mode of what it created.
fn own_umask(arguments: &[String]) -> Answer {
    raw(libc::SYS_umask, [0; 6])?;
    let path = arguments[0].clone();
    in_thread(move || {
        unshare(libc::CLONE_FS)?;
        raw(libc::SYS_umask, [0o077, 0, 0, 0, 0, 0])?;
        create(CWD, &path)
    })?;
    crate::files::mode_of(arguments[0].as_ref())
}

/// Creates, renames and removes while /proc/self belongs to root and nobody may read this process's memory.
fn undumpable(arguments: &[String]) -> Answer {
    raw(libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 0, 0, 0, 0, 0])?;
    create(CWD, &arguments[0])?;
    let (path, moved) = (c_path(&arguments[0])?, c_path(&format!("{}.moved", arguments[0]))?);
    raw(libc::SYS_renameat2, [CWD, address(&path), CWD, address(&moved), 0, 0])?;
    ok(raw(libc::SYS_unlinkat, [CWD, address(&moved), 0, 0, 0, 0]))
}

/// Asks for a ruleset of one's own that handles writing files (landlock_create_ruleset(2)).
fn landlock_ruleset(_: &[String]) -> Answer {
    let handled: [u64; 1] = [1 << 1];
    ok(raw(SYS_LANDLOCK_CREATE_RULESET, [handled.as_ptr() as libc::c_long, 8, 0, 0, 0, 0]))
}

/// Linux 5.13; the same number on every architecture.
const SYS_LANDLOCK_CREATE_RULESET: libc::c_long = 444;

/// Runs COMMAND below a filter that allows everything, but holds a listener: the kernel gives no second one to whoever is below it.
fn behind_listener(arguments: &[String]) -> Answer {
    let allow = [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
    let program = libc::sock_fprog { len: 1, filter: allow.as_ptr().cast_mut() };
    raw(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS.into(), 1, 0, 0, 0, 0])?;
    let (mode, flags) = (libc::c_long::from(libc::SECCOMP_SET_MODE_FILTER), libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as libc::c_long);
    // The listener stays open in this process, which outlives the command: without it the kernel would forget that there was one.
    let listener = raw(libc::SYS_seccomp, [mode, flags, std::ptr::from_ref(&program) as libc::c_long, 0, 0, 0])?;
    raw(libc::SYS_fcntl, [listener, libc::F_SETFD.into(), libc::FD_CLOEXEC.into(), 0, 0, 0])?;
    let status = std::process::Command::new(&arguments[0]).args(&arguments[1..]).status()?;
    std::process::exit(status.code().unwrap_or(128));
}

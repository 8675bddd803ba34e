//! System calls that a sandbox must refuse, made raw: no C library stands between.
//!
//! Arguments are chosen so that, were the call let through, it would fail with a distinctive errno or change nothing but this
//! process: the same row is run outside the sandbox as its own control, as root too.

use std::io;
use std::os::fd::AsRawFd;

use crate::answer::{Answer, Operation, number, ok};

/// One call with fixed arguments.
pub(crate) struct Row {
    /// What is written on the command line.
    pub(crate) name: &'static str,
    number: libc::c_long,
    arguments: [libc::c_long; 6],
}

const fn row(name: &'static str, number: libc::c_long, arguments: [libc::c_long; 6]) -> Row {
    Row { name, number, arguments }
}

const NONE: libc::c_long = 0;
const BAD_FD: libc::c_long = -1;
/// Far more than any of these calls takes: refused by the kernel before it looks further.
const ABSURD: libc::c_long = 0x7fff_ffff;

pub(crate) const ROWS: &[Row] = &[
    row("mount", libc::SYS_mount, [NONE; 6]),
    row("umount", libc::SYS_umount2, [NONE; 6]),
    row("pivot_root", libc::SYS_pivot_root, [NONE; 6]),
    row("chroot", libc::SYS_chroot, [NONE; 6]),
    row("setns", libc::SYS_setns, [BAD_FD, NONE, NONE, NONE, NONE, NONE]),
    row("open_tree", libc::SYS_open_tree, [libc::AT_FDCWD as libc::c_long, NONE, NONE, NONE, NONE, NONE]),
    row("move_mount", libc::SYS_move_mount, [BAD_FD, NONE, BAD_FD, NONE, ABSURD, NONE]),
    row("fsopen", libc::SYS_fsopen, [NONE, ABSURD, NONE, NONE, NONE, NONE]),
    row("fsconfig", libc::SYS_fsconfig, [BAD_FD, NONE, NONE, NONE, NONE, NONE]),
    row("fsmount", libc::SYS_fsmount, [BAD_FD, ABSURD, NONE, NONE, NONE, NONE]),
    row("fspick", libc::SYS_fspick, [BAD_FD, NONE, ABSURD, NONE, NONE, NONE]),
    row("mount_setattr", libc::SYS_mount_setattr, [BAD_FD, NONE, ABSURD, NONE, NONE, NONE]),
    row("clone3", libc::SYS_clone3, [NONE; 6]),
    row("keyctl", libc::SYS_keyctl, [0, -3, 1, NONE, NONE, NONE]),
    row("add_key", libc::SYS_add_key, [NONE; 6]),
    row("request_key", libc::SYS_request_key, [NONE; 6]),
    row("bpf", libc::SYS_bpf, [ABSURD, NONE, NONE, NONE, NONE, NONE]),
    row("perf_event_open", libc::SYS_perf_event_open, [NONE; 6]),
    // Flag 1 (UFFD_USER_MODE_ONLY) needs no privilege.
    row("userfaultfd", libc::SYS_userfaultfd, [1, NONE, NONE, NONE, NONE, NONE]),
    row("kexec_load", libc::SYS_kexec_load, [NONE, ABSURD, NONE, ABSURD, NONE, NONE]),
    row("kexec_file_load", libc::SYS_kexec_file_load, [BAD_FD, BAD_FD, NONE, NONE, ABSURD, NONE]),
    row("init_module", libc::SYS_init_module, [NONE; 6]),
    row("finit_module", libc::SYS_finit_module, [BAD_FD, NONE, ABSURD, NONE, NONE, NONE]),
    row("delete_module", libc::SYS_delete_module, [NONE; 6]),
    row("open_by_handle_at", libc::SYS_open_by_handle_at, [BAD_FD, NONE, NONE, NONE, NONE, NONE]),
    row("io_uring_setup", libc::SYS_io_uring_setup, [NONE; 6]),
    row("io_uring_enter", libc::SYS_io_uring_enter, [BAD_FD, NONE, NONE, NONE, NONE, NONE]),
    row("io_uring_register", libc::SYS_io_uring_register, [BAD_FD, NONE, NONE, NONE, NONE, NONE]),
];

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "unshare", arguments: &["FLAGS"], run: unshare },
    Operation { name: "clone", arguments: &["FLAGS"], run: clone },
    Operation { name: "ioctl", arguments: &["PATH", "REQUEST"], run: ioctl },
    Operation { name: "ioctl-fd", arguments: &["FD", "REQUEST"], run: ioctl_fd },
    Operation { name: "raw-socket", arguments: &["FAMILY", "TYPE", "PROTOCOL"], run: raw_socket },
    Operation {
        name: "ptrace",
        arguments: &["PID"],
        run: |a| ok(raw(libc::SYS_ptrace, [libc::PTRACE_SEIZE.into(), number(&a[0])?, NONE, NONE, NONE, NONE])),
    },
    Operation { name: "pidfd-getfd", arguments: &["PID", "FD"], run: pidfd_getfd },
    Operation { name: "ptrace-child", arguments: &[], run: ptrace_child },
    Operation { name: "later-calls", arguments: &["FIRST", "LAST"], run: later_calls },
    Operation { name: "x32-getpid", arguments: &[], run: x32_getpid },
    Operation { name: "int80-getpid", arguments: &[], run: int80_getpid },
    Operation { name: "setpriority", arguments: &["WHICH", "WHO", "NICE"], run: |a| numbers(libc::SYS_setpriority, a) },
    Operation { name: "ioprio-set", arguments: &["WHICH", "WHO", "PRIORITY"], run: |a| numbers(libc::SYS_ioprio_set, a) },
    Operation { name: "limits", arguments: &["PID"], run: limits },
    Operation { name: "stop-traced", arguments: &[], run: stop_traced },
    Operation { name: "sethostname", arguments: &["NAME"], run: sethostname },
];

/// The row of that name.
pub(crate) fn row_named(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// Makes the call of a row.
pub(crate) fn call(row: &Row) -> Answer {
    ok(raw(row.number, row.arguments))
}

/// One system call by number.
pub(crate) fn raw(number: libc::c_long, a: [libc::c_long; 6]) -> io::Result<libc::c_long> {
    // SAFETY: every argument used by the callers is a plain number, an address that holds nothing (the kernel answers EFAULT), or the address
    // of a value that the caller of `raw` keeps alive; where the call writes there, the caller made it from a mutable borrow.
    let value = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if value == -1 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

fn unshare(arguments: &[String]) -> Answer {
    ok(raw(libc::SYS_unshare, [number(&arguments[0])?, NONE, NONE, NONE, NONE, NONE]))
}

/// A fork with flags; the child ends at once.
fn clone(arguments: &[String]) -> Answer {
    let flags = number(&arguments[0])? | libc::c_long::from(libc::SIGCHLD);
    // A null stack means a copy of ours, as for fork(2).
    let child = raw(libc::SYS_clone, [flags, NONE, NONE, NONE, NONE, NONE])?;
    if child == 0 {
        // SAFETY: _exit(2) runs no handlers of the parent's and never returns.
        unsafe { libc::_exit(0) }
    }
    Ok("ok".into())
}

/// The request is passed in all 64 bits of the register: the kernel looks at 32 of them only.
fn ioctl(arguments: &[String]) -> Answer {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&arguments[0])?;
    request(file.as_raw_fd().into(), &arguments[1])
}

/// The same on a descriptor that is open already.
fn ioctl_fd(arguments: &[String]) -> Answer {
    request(number(&arguments[0])?, &arguments[1])
}

fn request(fd: libc::c_long, text: &str) -> Answer {
    let byte = b'x';
    let pointer = std::ptr::from_ref(&byte) as libc::c_long;
    ok(raw(libc::SYS_ioctl, [fd, number(text)?, pointer, NONE, NONE, NONE]))
}

/// All 64 bits of each argument reach the filter; the kernel looks at 32 of them.
fn raw_socket(arguments: &[String]) -> Answer {
    ok(raw(libc::SYS_socket, [number(&arguments[0])?, number(&arguments[1])?, number(&arguments[2])?, NONE, NONE, NONE]))
}

/// Takes a copy of another process's descriptor.
fn pidfd_getfd(arguments: &[String]) -> Answer {
    let process = raw(libc::SYS_pidfd_open, [number(&arguments[0])?, NONE, NONE, NONE, NONE, NONE])?;
    ok(raw(libc::SYS_pidfd_getfd, [process, number(&arguments[1])?, NONE, NONE, NONE, NONE]))
}

/// A debugger's first step on a child of its own: must keep working inside.
fn ptrace_child(_: &[String]) -> Answer {
    let mut child = std::process::Command::new("/bin/sleep").arg("30").spawn()?;
    let attached = raw(libc::SYS_ptrace, [libc::PTRACE_SEIZE.into(), child.id().into(), NONE, NONE, NONE, NONE]);
    child.kill()?;
    child.wait()?;
    ok(attached)
}

/// A call whose three arguments are numbers.
fn numbers(call: libc::c_long, arguments: &[String]) -> Answer {
    ok(raw(call, [number(&arguments[0])?, number(&arguments[1])?, number(&arguments[2])?, NONE, NONE, NONE]))
}

/// Asks for the limits of a process, and for nothing to be changed or told.
fn limits(arguments: &[String]) -> Answer {
    ok(raw(libc::SYS_prlimit64, [number(&arguments[0])?, libc::RLIMIT_NOFILE.into(), NONE, NONE, NONE, NONE]))
}

/// Becomes traced by its parent, who knows nothing of it, and stops.
fn stop_traced(_: &[String]) -> Answer {
    raw(libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), NONE, NONE, NONE, NONE, NONE])?;
    // SAFETY: a number.
    unsafe { libc::raise(libc::SIGSTOP) };
    Ok("ok".into())
}

fn sethostname(arguments: &[String]) -> Answer {
    let name = &arguments[0];
    ok(raw(libc::SYS_sethostname, [name.as_ptr() as libc::c_long, name.len() as libc::c_long, NONE, NONE, NONE, NONE]))
}

/// Numbers of calls that this kernel answers otherwise than by ENOSYS; `none` where there is none. Wrong arguments, so that nothing happens.
fn later_calls(arguments: &[String]) -> Answer {
    let numbers = number(&arguments[0])?..=number(&arguments[1])?;
    let missing = |number: &i64| raw(*number, [NONE; 6]).is_err_and(|error| error.raw_os_error() == Some(libc::ENOSYS));
    let there: Vec<String> = numbers.filter(|number| !missing(number)).map(|number| number.to_string()).collect();
    Ok(if there.is_empty() { "none".into() } else { there.join(" ") })
}

/// getpid through the x32 table: the filter judges numbers, and this is another number for the same call.
fn x32_getpid(_: &[String]) -> Answer {
    ok(raw(libc::SYS_getpid | 0x4000_0000, [NONE; 6]))
}

#[cfg(target_arch = "x86_64")]
fn int80_getpid(_: &[String]) -> Answer {
    let answer: i32;
    // SAFETY: getpid (20 in the i386 table) takes no argument and touches no memory; the kernel keeps all registers but rax,
    // and r8 to r11, which are named as clobbered.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("eax") 20 => answer, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if answer < 0 { Err(io::Error::from_raw_os_error(-answer).into()) } else { Ok("ok".into()) }
}

#[cfg(not(target_arch = "x86_64"))]
fn int80_getpid(_: &[String]) -> Answer {
    Err(crate::answer::Failure::Errno(libc::ENOSYS))
}

//! What this process is: ids, capabilities, terminal, descriptors.

use std::fs;
use std::os::fd::AsRawFd;

use crate::answer::{Answer, Failure, Operation};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "caps", arguments: &[], run: |_| status(&["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) },
    Operation { name: "nnp", arguments: &[], run: |_| status(&["NoNewPrivs"]) },
    Operation { name: "seccomp-mode", arguments: &[], run: |_| status(&["Seccomp"]) },
    Operation { name: "ids", arguments: &[], run: |_| status(&["Uid", "Gid", "Groups"]) },
    Operation { name: "fds", arguments: &[], run: descriptors },
    Operation { name: "sid", arguments: &[], run: |_| Ok(session(libc::getsid).to_string()) },
    Operation { name: "pgid", arguments: &[], run: |_| Ok(session(libc::getpgid).to_string()) },
    Operation { name: "tty", arguments: &[], run: terminal },
    Operation { name: "winsize", arguments: &[], run: window },
    Operation { name: "openpty", arguments: &[], run: open_pty },
    Operation { name: "pids", arguments: &[], run: pids },
    Operation { name: "env", arguments: &["NAME"], run: |a| std::env::var(&a[0]).map_err(|_| Failure::Other("not set".into())) },
];

/// Fields of `/proc/self/status`, in the order asked for, separated by spaces.
fn status(fields: &[&str]) -> Answer {
    let text = fs::read_to_string("/proc/self/status")?;
    let value = |field: &&str| {
        let line = text.lines().find_map(|line| line.strip_prefix(*field)?.strip_prefix(':'));
        line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(","))
    };
    let values: Option<Vec<_>> = fields.iter().map(value).collect();
    Ok(values.ok_or_else(|| Failure::Other("field missing".into()))?.join(" "))
}

/// Numbers of the open descriptors, without the one that lists them.
fn descriptors(_: &[String]) -> Answer {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number: i32 = entry.file_name().to_string_lossy().parse().map_err(|_| Failure::Other("not a number".into()))?;
        // The link of the listing descriptor itself leads to a directory of procfs.
        if !fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().ends_with("/fd")) {
            open.push(number);
        }
    }
    open.sort_unstable();
    Ok(open.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

fn session(call: unsafe extern "C" fn(libc::pid_t) -> libc::pid_t) -> libc::pid_t {
    // SAFETY: getsid(2) and getpgid(2) take a number; 0 is this process.
    unsafe { call(0) }
}

/// The name of the terminal on standard input, as ttyname(3) finds it.
fn terminal(_: &[String]) -> Answer {
    let mut name = [0u8; 128];
    // SAFETY: `name` is writable and its true length is passed. Whether characters have a sign differs between architectures.
    let code = unsafe { libc::ttyname_r(0, name.as_mut_ptr().cast(), name.len()) };
    if code != 0 {
        return Err(Failure::Errno(code));
    }
    Ok(name.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect())
}

fn window(_: &[String]) -> Answer {
    let tty = fs::File::open("/dev/tty")?;
    // SAFETY: all-zero bytes are a valid winsize.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ writes one winsize, to a place that lives through the call.
    if unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } == -1 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(format!("{}x{}", size.ws_row, size.ws_col))
}

/// A new pseudo-terminal; prints the name of its far end, which must open too.
fn open_pty(_: &[String]) -> Answer {
    let controller = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).map_err(errno)?;
    rustix::pty::grantpt(&controller).map_err(errno)?;
    rustix::pty::unlockpt(&controller).map_err(errno)?;
    let name = rustix::pty::ptsname(&controller, Vec::new()).map_err(errno)?.to_string_lossy().into_owned();
    fs::OpenOptions::new().read(true).write(true).open(&name)?;
    Ok(name)
}

fn errno(error: rustix::io::Errno) -> Failure {
    Failure::Errno(error.raw_os_error())
}

/// Ids of all processes that /proc shows.
fn pids(_: &[String]) -> Answer {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_string_lossy().parse::<u32>().ok());
    }
    pids.sort_unstable();
    Ok(pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

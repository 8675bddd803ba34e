//! Who made a call, as the host sees it.
//!
//! The caller waits in its call while this looks, so it is still there. What procfs says of it was chosen by it: text only, sanitised when shown.

use std::os::fd::{AsFd, AsRawFd as _};
use std::time::Duration;

use crate::violation::Process;

/// Arguments kept of one process: enough to tell it, whatever it was started with.
const MAX_ARGUMENTS: usize = 32;
const MAX_ARGUMENT: usize = 256;

/// The process behind a descriptor of it, or of one of its threads (pidfd_open(2)).
pub(super) fn behind(pidfd: impl AsFd) -> Option<Process> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd())).ok()?;
    of(field(&info, "Pid:")?.parse().ok().filter(|pid| *pid > 0)?)
}

/// What a record of the kernel says of a process, and what procfs adds to that, if the process is still there: a number may have been given to another since, or mean another one here, where srt itself
/// runs in a pid namespace.
pub(super) fn recorded(pid: i32, tid: i32, comm: &[u8], time: Duration) -> Process {
    let alive = started(tid).is_some_and(|started| started <= time + TICK);
    let found = alive.then(|| of(tid)).flatten().filter(|process| process.pid == pid);
    let comm = String::from_utf8_lossy(comm).into_owned();
    match found {
        Some(process) if process.comm == comm || tid != pid => Process { comm, ..process },
        _ => Process { pid, ppid: 0, exe: String::new(), comm, argv: Vec::new() },
    }
}

/// Start times are told in hundredths of a second (proc_pid_stat(5); `USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// When a thread began, since boot.
fn started(tid: i32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{tid}/stat")).ok()?;
    // The name may hold anything but is the only thing in parentheses that ends last.
    let ticks: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    Some(TICK * ticks)
}

fn of(thread: i32) -> Option<Process> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let pid = field(&status, "Tgid:")?.parse().ok()?;
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).map(|exe| exe.to_string_lossy().into_owned()).unwrap_or_default();
    Some(Process {
        pid,
        ppid: field(&status, "PPid:")?.parse().ok()?,
        exe,
        comm: std::fs::read(format!("/proc/{pid}/comm")).map(|comm| String::from_utf8_lossy(comm.trim_ascii_end()).into_owned()).ok()?,
        argv: arguments(pid),
    })
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn arguments(pid: i32) -> Vec<String> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let limit = (MAX_ARGUMENTS * MAX_ARGUMENT) as u64;
    let read = std::fs::File::open(format!("/proc/{pid}/cmdline")).and_then(|file| file.take(limit).read_to_end(&mut text));
    // A process that has ended, and is not yet waited for, has none.
    if read.is_err() || text.is_empty() {
        return Vec::new();
    }
    let ended = text.strip_suffix(&[0]).unwrap_or(&text);
    let cut = |word: &[u8]| String::from_utf8_lossy(&word[..word.len().min(MAX_ARGUMENT)]).into_owned();
    ended.split(|byte| *byte == 0).take(MAX_ARGUMENTS).map(cut).collect()
}

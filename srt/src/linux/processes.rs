//! The processes of a sandbox, as the host sees them.
//!
//! See proc_pid_stat(5), proc_pid_status(5), pid_namespaces(7). A process of the sandbox is one whose ancestors lead to its `init`: PID 1 adopts every orphan.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal};

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// Its id on the host.
    pub(super) pid: i32,
    /// Its parent's.
    pub(super) parent: i32,
    /// Its process group.
    pub(super) group: i32,
    /// When it started: tells it from a later process of the same id.
    start: u64,
}

/// The host's id of a process, by its descriptor; `None` where it has ended.
pub fn id_of(pidfd: &OwnedFd) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    (id > 0).then_some(id)
}

/// Every process below `init`, parents before their children. `init` itself is not among them.
///
/// # Errors
/// `/proc` cannot be read.
pub(super) fn below(init: i32) -> io::Result<Vec<Process>> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse().ok()).and_then(look) else { continue };
        children.entry(process.parent).or_default().push(process);
    }
    let mut found: Vec<Process> = children.remove(&init).unwrap_or_default();
    let mut next = 0;
    while next < found.len() {
        found.extend(children.remove(&found[next].pid).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

/// The first process that `init` started: the command, while it lives.
pub fn command(init: i32) -> Option<i32> {
    let children = below(init).ok()?.into_iter().filter(|process| process.parent == init);
    children.min_by_key(|process| process.start).map(|process| process.pid)
}

/// Ends every process below this one, at once, and reaps it: where no pid namespace ends with `init`. A process that is killed makes no new one, so each round finds fewer; an
/// orphan becomes a child of whoever calls this, who must be a child subreaper (prctl(2)).
pub fn end_below_self() {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    loop {
        let found = below(own).unwrap_or_default();
        for process in &found {
            // It may have ended meanwhile.
            let _ = process.signal(Signal::KILL);
        }
        match rustix::process::wait(rustix::process::WaitOptions::NOHANG) {
            Err(rustix::io::Errno::CHILD) => return,
            // Its children become ours, and are looked for again.
            Ok(Some(_)) => {}
            Ok(None) | Err(_) if found.is_empty() => return,
            Ok(None) | Err(_) => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    }
}

/// Is a thread one of a process below `ancestor`? Asked of `/proc`, by the numbers of the pid namespace that it was mounted for.
pub(super) fn is_below(thread: i32, ancestor: i32) -> bool {
    let parent = |number: i32| -> Option<(i32, i32)> {
        let text = std::fs::read_to_string(format!("/proc/{number}/status")).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
        Some((field("Tgid:")?, field("PPid:")?))
    };
    let mut next = thread;
    // No tree is deeper than there are processes.
    for _ in 0..1 << 22 {
        match parent(next) {
            Some((group, _)) if group == ancestor => return false,
            Some((_, parent)) if parent == ancestor => return true,
            Some((_, parent)) if parent > 1 => next = parent,
            _ => return false,
        }
    }
    false
}

impl Process {
    /// Sends a signal, to this process and to no later one of its id.
    pub(super) fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        let pid = Pid::from_raw(self.pid).ok_or(rustix::io::Errno::SRCH)?;
        let descriptor = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        if look(self.pid).is_none_or(|now| now.start != self.start) {
            return Err(rustix::io::Errno::SRCH);
        }
        rustix::process::pidfd_send_signal(&descriptor, signal)
    }

    /// State of each thread and how often it was given a processor or gave it back. A thread that has ended meanwhile is left out.
    pub(super) fn threads(&self) -> Vec<Thread> {
        let directory = format!("/proc/{}/task", self.pid);
        let threads = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        threads.filter_map(|entry| thread(&entry.path().join("status"))).collect()
    }
}

/// A thread at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Thread {
    pub(super) id: i32,
    pub(super) state: State,
    /// Switches of context: it cannot run without one.
    pub(super) switches: u64,
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// Stopped, by a signal or by its tracer.
    Stopped,
    /// Ended.
    Dead,
    /// In the kernel, in a wait that no stop interrupts: a disk, or vfork(2).
    Busy,
    /// Anything else.
    Running,
}

fn thread(status: &std::path::Path) -> Option<Thread> {
    let text = std::fs::read_to_string(status).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let state = match field("State:")?.chars().next()? {
        'T' | 't' => State::Stopped,
        'Z' | 'X' => State::Dead,
        'D' => State::Busy,
        _ => State::Running,
    };
    let count = |name: &str| field(name)?.parse::<u64>().ok();
    let switches = count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?;
    Some(Thread { id: field("Pid:")?.parse().ok()?, state, switches })
}

/// The name of a process may hold anything, so the fields are counted from its closing parenthesis, which is the last one.
fn look(pid: i32) -> Option<Process> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    // After the name: state, ppid, pgrp; the start time is field 22 of all.
    Some(Process { pid, parent: fields.get(1)?.parse().ok()?, group: fields.get(2)?.parse().ok()?, start: fields.get(19)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_and_told_apart_by_name_alone_never() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = std::process::id() as i32;
        let found = below(own).unwrap().into_iter().find(|process| process.pid == child.id() as i32);
        assert!(found.is_some_and(|process| process.parent == own && !process.threads().is_empty()));
        let stale = Process { start: 0, ..found.unwrap() };
        assert!(stale.signal(Signal::KILL).is_err(), "another process of this id");
        found.unwrap().signal(Signal::KILL).unwrap();
        child.wait().unwrap();
    }
}

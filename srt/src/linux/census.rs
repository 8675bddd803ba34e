//! What the processes of a sandbox use, counted step by step.
//!
//! See proc_tid_children(5), proc_pid_status(5). The walk goes down from `init` by the lists of children, so its cost is that of the sandbox and not of the host.

use std::collections::VecDeque;
use std::path::Path;

/// Processes looked at in one step: some hundred microseconds.
const STEP: usize = 16;

/// Processes that are counted at most: those of a runaway command are not followed for ever.
const MOST: u64 = 4096;

/// What a sandbox has at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processes, without `init`.
    pub processes: u64,
    /// Bytes of memory that belong to no file. Pages that a fork left shared count for each process that has them.
    pub memory: u64,
}

/// A count that goes on. Processes may come and go meanwhile; one that ends is left out.
#[derive(Debug)]
pub struct Census {
    waiting: VecDeque<i32>,
    usage: Usage,
}

impl Census {
    /// Of the processes below `init`, which is a process id on this host.
    pub fn below(init: i32) -> Self {
        Census { waiting: children(init), usage: Usage::default() }
    }

    /// Counts some more; false where that was the end.
    pub fn step(&mut self) -> bool {
        for _ in 0..STEP {
            let Some(process) = self.waiting.pop_front().filter(|_| self.usage.processes < MOST) else { return false };
            self.usage.processes += 1;
            self.usage.memory += private(process).unwrap_or(0);
            self.waiting.extend(children(process));
        }
        true
    }

    /// What was counted.
    pub fn usage(&self) -> Usage {
        self.usage
    }
}

/// Each thread has children of its own.
fn children(process: i32) -> VecDeque<i32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    threads.flat_map(|thread| listed(&thread.path().join("children"))).collect()
}

fn listed(file: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// Resident memory without that of files.
fn private(process: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(field.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_of_children_are_counted_and_nobody_else() {
        let mut shell = std::process::Command::new("sh").args(["-c", "sleep 60 & sleep 60 & wait"]).spawn().unwrap();
        let id = shell.id() as i32;
        let count = || {
            let mut census = Census::below(id);
            while census.step() {}
            census.usage()
        };
        while count().processes < 2 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let usage = count();
        assert_eq!(usage.processes, 2);
        assert!((8 << 10..64 << 20).contains(&usage.memory), "{usage:?}");
        for child in children(id).into_iter().chain([id]) {
            rustix::process::kill_process(rustix::process::Pid::from_raw(child).unwrap(), rustix::process::Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
    }
}

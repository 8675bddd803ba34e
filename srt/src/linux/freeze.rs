//! The whole sandbox at rest while a person is asked.
//!
//! A program that shares the terminal could write over the question, or read the answer. Job control does not keep it from that: a process that has left the
//! session keeps its descriptors, and the kernel then asks it nothing (`__tty_check_change`). So every process is stopped.
//!
//! A stop is not a wall either: a program can arrange for the kernel to send it SIGCONT later (timer_create(2), fcntl(2) `F_SETSIG`). But no thread runs without a
//! context switch, and those are counted: [`Frozen::nothing_ran`] says afterwards whether all have stood still. Where they have not, the answer is worth nothing.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use rustix::process::Signal;

use super::processes::{self, Process, State, Thread};

/// Between two looks.
const STEP: Duration = Duration::from_millis(5);
/// Looks until what runs is taken for what cannot be stopped: half a second.
const STEPS: usize = 100;
/// Looks after which a thread in the kernel is waited for no longer.
const STEPS_FOR_BUSY: usize = 20;

/// A sandbox that was stopped. Goes on only by [`Frozen::thaw`].
#[derive(Debug)]
#[must_use]
pub struct Frozen {
    init: i32,
    /// Those that we stopped. What was stopped before stays so.
    stopped: Vec<Process>,
    /// All processes at rest.
    resting: HashMap<i32, Vec<Thread>>,
    groups: Vec<i32>,
}

/// Stops every process below `init`.
///
/// # Errors
/// One does not stop; those that had been stopped go on.
pub async fn freeze(init: i32) -> io::Result<Frozen> {
    let mut frozen = Frozen { init, stopped: Vec::new(), resting: HashMap::new(), groups: Vec::new() };
    for step in 0..STEPS {
        // The switch that leads into the stop is counted after the state is shown, on a busy host a while after: only what is the same twice is at rest.
        if frozen.stop(step)? && frozen.nothing_ran() {
            return Ok(frozen);
        }
        frozen.note()?;
        tokio::time::sleep(STEP).await;
    }
    frozen.thaw();
    Err(io::Error::other("a process does not stop"))
}

impl Frozen {
    /// Process groups of the sandbox.
    pub fn groups(&self) -> &[i32] {
        &self.groups
    }

    /// Was the command, or an orphan that `init` has adopted, stopped by us?
    pub fn stopped_a_child_of_init(&self) -> bool {
        self.stopped.iter().any(|process| process.parent == self.init)
    }

    /// Has no process of the sandbox run since it was stopped? One that has ended is no matter: it did not run for that.
    pub fn nothing_ran(&self) -> bool {
        let Ok(now) = processes::below(self.init) else { return false };
        now.iter().all(|process| {
            self.resting.get(&process.pid).is_some_and(|before| process.threads().iter().all(|thread| before.contains(thread)))
        })
    }

    /// Lets everything that was stopped go on; children first, so that no parent sees them stopped.
    pub fn thaw(self) {
        for process in self.stopped.iter().rev() {
            // It may have been killed meanwhile.
            let _ = process.signal(Signal::CONT);
        }
    }

    /// Stops what runs; true where nothing did any more. Stopped processes make no new ones, so this comes to an end.
    ///
    /// Parents first, and a child only when its parent rests: a shell that still ran would take the stop of its child for Ctrl-Z.
    fn stop(&mut self, step: usize) -> io::Result<bool> {
        let (busy_is_fine, in_order) = (step >= STEPS_FOR_BUSY, step < STEPS / 2);
        let mut resting = vec![self.init];
        let mut at_rest = true;
        for process in processes::below(self.init)? {
            let threads = process.threads();
            let rests = |thread: &Thread| match thread.state {
                State::Stopped | State::Dead => true,
                State::Busy => busy_is_fine,
                State::Running => false,
            };
            if threads.iter().all(rests) {
                resting.push(process.pid);
                continue;
            }
            at_rest = false;
            if in_order && !resting.contains(&process.parent) {
                continue;
            }
            if !self.stopped.contains(&process) && process.signal(Signal::STOP).is_ok() {
                self.stopped.push(process);
            } else {
                // It was continued by somebody, or is on its way.
                let _ = process.signal(Signal::STOP);
            }
        }
        Ok(at_rest)
    }

    /// Takes down how things are now.
    fn note(&mut self) -> io::Result<()> {
        self.groups.clear();
        self.resting.clear();
        for process in processes::below(self.init)? {
            self.groups.push(process.group);
            self.resting.insert(process.pid, process.threads());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    /// A shell with children of its own; it stands for init, and is not stopped itself.
    fn tree(script: &str) -> std::process::Child {
        let child = std::process::Command::new("sh").args(["-c", script]).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        child
    }

    #[test]
    fn what_is_stopped_stands_still_and_goes_on() {
        run(async {
            let mut child = tree("(while :; do :; done) & (while :; do sleep 0.01; done) & wait");
            let frozen = freeze(child.id() as i32).await.unwrap();
            assert!(frozen.stopped.len() >= 2 && frozen.nothing_ran());
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(frozen.nothing_ran());
            frozen.stopped[0].signal(Signal::CONT).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            frozen.stopped[0].signal(Signal::STOP).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(!frozen.nothing_ran(), "one ran in between");
            let stopped = frozen.stopped.clone();
            frozen.thaw();
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(stopped.iter().all(|process| process.threads().iter().all(|thread| thread.state != State::Stopped)));
            for process in stopped {
                let _ = process.signal(Signal::KILL);
            }
            child.kill().unwrap();
            child.wait().unwrap();
        });
    }
}

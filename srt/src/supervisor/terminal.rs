//! Gives the terminal back.
//!
//! A shell inside makes its own process groups the foreground of the terminal, and cannot name ours when it ends: it lies outside its pid namespace.

use std::os::fd::BorrowedFd;

use rustix::process::Pid;

/// The foreground process group at the start, where we are in it.
pub(super) struct Terminal {
    group: Option<Pid>,
}

impl Terminal {
    /// Remembers.
    pub(super) fn remember() -> Self {
        let foreground = rustix::termios::tcgetpgrp(input()).ok();
        Terminal { group: own_group().filter(|own| foreground == Some(*own)) }
    }

    /// Makes our group the foreground again, where the group that has the terminal is gone. One that lives has it by right: the caller's shell, when the job
    /// was put into the background. `SIGTTOU` is blocked, so a background process may do that.
    pub(super) fn restore(&self) {
        let Some(group) = self.group else { return };
        let gone = |foreground| matches!(rustix::process::test_kill_process_group(foreground), Err(rustix::io::Errno::SRCH));
        if rustix::termios::tcgetpgrp(input()).map_or(true, gone) {
            let _ = rustix::termios::tcsetpgrp(input(), group);
        }
    }
}

/// Our process group. `None` where it lies outside our pid namespace, as for a first process that nobody gave a group: it has no number here.
pub(super) fn own_group() -> Option<Pid> {
    // SAFETY: getpgrp(2) takes nothing and cannot fail. (rustix takes 0 for impossible.)
    Pid::from_raw(unsafe { libc::getpgrp() })
}

fn input() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

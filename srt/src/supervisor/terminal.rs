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
        let own = rustix::process::getpgrp();
        let foreground = rustix::termios::tcgetpgrp(input()).ok();
        Terminal { group: foreground.filter(|group| *group == own) }
    }

    /// Makes our group the foreground again. `SIGTTOU` is blocked, so a background process may do that.
    pub(super) fn restore(&self) {
        if let Some(group) = self.group {
            let _ = rustix::termios::tcsetpgrp(input(), group);
        }
    }
}

fn input() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

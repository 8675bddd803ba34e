//! Denials on stderr while the command runs (`--violations live`).
//!
//! The command writes to the same terminal. A line of ours costs it no more than a line: it is one write, cut at the width of the terminal, and so many a
//! second at most. Where stderr takes nothing at the moment, the line is counted, not waited for.

use std::io::Write as _;

use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::time::{Duration, Instant};

use crate::violation::{Event, sanitise};

/// Lines in one [`PERIOD`].
const LINES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(1);
/// Longest line, in characters: with four bytes each, a pipe takes it whole (pipe(7), PIPE_BUF).
const LONGEST: usize = 1000;

/// What was shown, and what was not.
#[derive(Debug)]
pub(super) struct Live {
    begun: Instant,
    shown: u32,
    unseen: u64,
}

impl Live {
    pub(super) fn new() -> Self {
        Live { begun: Instant::now(), shown: 0, unseen: 0 }
    }

    /// Shows one event, or counts it.
    pub(super) fn show(&mut self, event: &Event) {
        if self.may_show(Instant::now()) {
            let process = event.process.as_ref().map(|process| format!(" by {}[{}]", sanitise(&process.comm), process.pid));
            write(&format!("srt: {}{}", event.line(), process.unwrap_or_default()));
        } else {
            self.unseen += 1;
        }
    }

    /// At the end: how many lines are missing.
    pub(super) fn finish(self, lost: u64) {
        let unseen = self.unseen.saturating_add(lost);
        if unseen > 0 {
            write(&format!("srt: {unseen} more denials were not shown as they happened"));
        }
    }

    fn may_show(&mut self, now: Instant) -> bool {
        if now - self.begun >= PERIOD {
            (self.begun, self.shown) = (now, 0);
        }
        self.shown += 1;
        self.shown <= LINES && takes_more()
    }
}

fn takes_more() -> bool {
    let stderr = rustix::stdio::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    rustix::event::poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|count| count > 0)
}

fn write(line: &str) {
    let width =
        rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 20);
    let cut: String = line.chars().take(width.unwrap_or(LONGEST + 1) - 1).collect();
    // A full-screen program has switched off what makes a line break of a line feed.
    let end = if width.is_some() { "\r\n" } else { "\n" };
    // Where stderr is closed there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(format!("{cut}{end}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_in_a_second() {
        let mut live = Live::new();
        let now = live.begun;
        assert!((0..1000).filter(|_| live.may_show(now)).count() <= LINES as usize);
        live.may_show(now + PERIOD);
        assert_eq!(live.shown, 1);
    }
}

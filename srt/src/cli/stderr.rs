//! One line on stderr while the command runs.
//!
//! The command may be a full-screen program on the same terminal. A line of ours costs it no more than a line: it is one write, cut at the width of the
//! terminal. Where stderr takes nothing at the moment, the loop of the supervisor must not wait for it.

use std::io::Write as _;

use rustix::event::{PollFd, PollFlags, Timespec};

/// Longest line, in characters: with four bytes each, a pipe takes it whole (pipe(7), PIPE_BUF).
const LONGEST: usize = 1000;

/// Writes a line after srt's name; false where stderr takes nothing now.
pub(super) fn line(text: &str) -> bool {
    if !takes_more() {
        return false;
    }
    let width =
        rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 20);
    let cut: String = format!("srt: {text}").chars().take(width.unwrap_or(LONGEST + 1) - 1).collect();
    // A full-screen program has switched off what makes a line break of a line feed.
    let end = if width.is_some() { "\r\n" } else { "\n" };
    // Where stderr is closed there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(format!("{cut}{end}").as_bytes());
    true
}

fn takes_more() -> bool {
    let stderr = rustix::stdio::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    rustix::event::poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|count| count > 0)
}

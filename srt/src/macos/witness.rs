//! Who sent a signal: the terminal, to all of us, or somebody, to srt alone.
//!
//! macOS does not tell: for a key at the terminal it names the terminal's program as the sender. So the watcher, a second process of our process group, serves as a
//! witness: what it got as well was meant for the group, and the command has it already. What it did not get within a short time is passed on.
//!
//! Pure: times are arguments.

use std::time::{Duration, Instant};

/// How long the witness may take to speak, on a busy machine. So long somebody's kill(1) of such a signal is delayed.
pub(crate) const WINDOW: Duration = Duration::from_millis(100);

/// Signals that a terminal, or a shell through it, sends to whole groups. Any other is passed on at once.
pub(crate) const OF_TERMINALS: [i32; 6] = [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGWINCH, libc::SIGTSTP, libc::SIGCONT];

/// What was seen lately.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// Signals of ours that the witness has not spoken of, and when they came.
    waiting: Vec<(i32, Instant)>,
    /// Signals of the witness.
    seen: Vec<(i32, Instant)>,
}

impl Witness {
    /// A signal of ours. True where it is to be passed on now.
    pub(crate) fn ours(&mut self, signal: i32, now: Instant) -> bool {
        if !OF_TERMINALS.contains(&signal) {
            return true;
        }
        self.forget(now);
        let seen = self.seen.iter().any(|(other, _)| *other == signal);
        if !seen {
            self.waiting.push((signal, now));
        }
        false
    }

    /// A signal of the witness: those of ours were meant for the group.
    pub(crate) fn theirs(&mut self, signal: i32, now: Instant) {
        self.forget(now);
        self.waiting.retain(|(other, _)| *other != signal);
        self.seen.push((signal, now));
    }

    /// Signals that were meant for us alone.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<i32> {
        let (due, waiting) = self.waiting.iter().partition(|(_, since)| now.duration_since(*since) >= WINDOW);
        self.waiting = waiting;
        let due: Vec<(i32, Instant)> = due;
        due.into_iter().map(|(signal, _)| signal).collect()
    }

    /// When to ask next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.iter().map(|(_, since)| *since + WINDOW).min()
    }

    fn forget(&mut self, now: Instant) {
        self.seen.retain(|(_, since)| now.duration_since(*since) < WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_the_group_got_is_not_passed_on_whoever_hears_of_it_first() {
        let (mut witness, now) = (Witness::default(), Instant::now());
        assert!(!witness.ours(libc::SIGINT, now));
        witness.theirs(libc::SIGINT, now + 5 * MS);
        assert!(witness.due(now + 10 * WINDOW).is_empty());

        let mut witness = Witness::default();
        witness.theirs(libc::SIGINT, now);
        assert!(!witness.ours(libc::SIGINT, now + 5 * MS));
        assert!(witness.due(now + 10 * WINDOW).is_empty() && witness.next().is_none());
    }

    #[test]
    fn what_srt_alone_got_is_passed_on_after_a_while_and_once() {
        let (mut witness, now) = (Witness::default(), Instant::now());
        assert!(!witness.ours(libc::SIGINT, now));
        assert_eq!(witness.next(), Some(now + WINDOW));
        assert!(witness.due(now + WINDOW - MS).is_empty());
        assert_eq!(witness.due(now + WINDOW), [libc::SIGINT]);
        assert!(witness.due(now + 2 * WINDOW).is_empty());
    }

    #[test]
    fn a_signal_of_the_group_says_nothing_of_another_or_of_a_later_one() {
        let (mut witness, now) = (Witness::default(), Instant::now());
        witness.theirs(libc::SIGINT, now);
        assert!(!witness.ours(libc::SIGQUIT, now + MS));
        assert!(!witness.ours(libc::SIGINT, now + WINDOW));
        assert_eq!(witness.due(now + 3 * WINDOW), [libc::SIGQUIT, libc::SIGINT]);
    }

    #[test]
    fn what_no_terminal_sends_is_passed_on_at_once() {
        let mut witness = Witness::default();
        assert!(witness.ours(libc::SIGTERM, Instant::now()) && witness.ours(libc::SIGUSR1, Instant::now()));
    }
}

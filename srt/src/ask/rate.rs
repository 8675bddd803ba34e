//! How often a person is asked.

use std::time::Duration;

use tokio::time::Instant;

/// Questions at once: a program that is started reaches for several hosts.
const BURST: u32 = 10;

/// After that, one in this time.
const PAUSE: Duration = Duration::from_secs(5);

/// A bucket of questions that fills up slowly.
#[derive(Debug)]
pub(super) struct Rate {
    left: u32,
    filled: Instant,
}

impl Rate {
    /// A full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Rate { left: BURST, filled: now }
    }

    /// May a question be put now? Then there is one less.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let pauses = (now - self.filled).as_secs() / PAUSE.as_secs();
        let pauses = u32::try_from(pauses).unwrap_or(BURST).min(BURST);
        if pauses > 0 {
            self.left = (self.left + pauses).min(BURST);
            self.filled = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    /// The question was welcome.
    pub(super) fn give_back(&mut self) {
        self.left = (self.left + 1).min(BURST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_questions_come_one_by_one() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert_eq!((0..100).filter(|_| rate.take(start)).count(), BURST as usize);
        assert!(!rate.take(start + PAUSE - Duration::from_millis(1)));
        assert!(rate.take(start + PAUSE));
        assert!(!rate.take(start + PAUSE));
        rate.give_back();
        assert!(rate.take(start + PAUSE));
        assert_eq!((0..100).filter(|_| rate.take(start + 1000 * PAUSE)).count(), BURST as usize);
    }
}

//! Denials as they happen (`--violations live`).
//!
//! The command writes to the same terminal: so many lines a second are shown at most, and what is not shown is counted.

use tokio::time::{Duration, Instant};

use crate::violation::{Event, sanitise};

/// Lines in one [`PERIOD`].
const LINES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(1);

/// Shows one line to the person, without waiting; false where it could not be shown now.
pub type Show = Box<dyn Fn(&str) -> bool>;

/// What was shown, and what was not.
pub(super) struct Live {
    show: Show,
    begun: Instant,
    shown: u32,
    unseen: u64,
}

impl Live {
    pub(super) fn new(show: Show) -> Self {
        Live { show, begun: Instant::now(), shown: 0, unseen: 0 }
    }

    /// Shows one event, or counts it.
    pub(super) fn show(&mut self, event: &Event) {
        let process = event.process.as_ref().map(|process| format!(" by {}[{}]", sanitise(&process.comm), process.pid));
        let line = format!("{}{}", event.line(), process.unwrap_or_default());
        if !(self.may_show(Instant::now()) && (self.show)(&line)) {
            self.unseen += 1;
        }
    }

    /// At the end: how many lines are missing.
    pub(super) fn finish(self, lost: u64) {
        let unseen = self.unseen.saturating_add(lost);
        if unseen > 0 {
            (self.show)(&format!("{unseen} more denials were not shown as they happened"));
        }
    }

    fn may_show(&mut self, now: Instant) -> bool {
        if now - self.begun >= PERIOD {
            (self.begun, self.shown) = (now, 0);
        }
        self.shown += 1;
        self.shown <= LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_in_a_second() {
        let mut live = Live::new(Box::new(|_| true));
        let now = live.begun;
        assert!((0..1000).filter(|_| live.may_show(now)).count() == LINES as usize);
        live.may_show(now + PERIOD);
        assert_eq!(live.shown, 1);
    }
}

//! Denials that were told a moment ago: more of the same are counted, so that a program that tries again and again costs the supervisor nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::question::Denied;

/// How long a denial stands for more of the same. Short: a thread's number may be given to another, and a program may become another.
const STANDS: Duration = Duration::from_millis(200);
/// Different denials that are remembered.
const MOST: usize = 256;

/// What was told lately.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<(i32, Denied), Standing>);

#[derive(Debug)]
struct Standing {
    ticket: u64,
    since: Instant,
    more: u64,
}

/// More of a denial that was told under this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) ticket: u64,
    pub(super) count: u64,
}

impl Told {
    /// Counts one of the same thread; false where it must be told.
    pub(super) fn count(&mut self, thread: i32, denied: &Denied, now: Instant) -> bool {
        match self.0.get_mut(&(thread, denied.clone())) {
            Some(standing) if now.duration_since(standing.since) < STANDS => {
                standing.more += 1;
                true
            }
            _ => false,
        }
    }

    /// One that was told now. Returns what was counted and stands no longer.
    pub(super) fn add(&mut self, thread: i32, denied: Denied, ticket: u64, now: Instant) -> Vec<Again> {
        let full = self.0.len() >= MOST;
        let over = self.take(|standing| full || now.duration_since(standing.since) >= STANDS);
        let before = self.0.insert((thread, denied), Standing { ticket, since: now, more: 0 });
        over.into_iter().chain(before.and_then(|standing| standing.again())).collect()
    }

    /// Everything that was counted.
    pub(super) fn finish(&mut self) -> Vec<Again> {
        self.take(|_| true)
    }

    fn take(&mut self, is_over: impl Fn(&Standing) -> bool) -> Vec<Again> {
        let mut over = Vec::new();
        self.0.retain(|_, standing| {
            let keep = !is_over(standing);
            if !keep {
                over.extend(standing.again());
            }
            keep
        });
        over
    }
}

impl Standing {
    fn again(&self) -> Option<Again> {
        (self.more > 0).then_some(Again { ticket: self.ticket, count: self.more })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::question::DeniedTarget;
    use super::*;

    fn denied(path: &str) -> Denied {
        Denied { call: 1, errno: 1, target: DeniedTarget::Write(path.as_bytes().to_vec()), rule: "fs.x".to_owned() }
    }

    #[test]
    fn the_same_of_one_thread_is_counted_for_a_moment() {
        let (mut told, now) = (Told::default(), Instant::now());
        assert!(!told.count(7, &denied("/a"), now));
        assert_eq!(told.add(7, denied("/a"), 1, now), []);
        assert!(told.count(7, &denied("/a"), now) && told.count(7, &denied("/a"), now));
        assert!(!told.count(8, &denied("/a"), now) && !told.count(7, &denied("/b"), now));
        assert!(!told.count(7, &denied("/a"), now + STANDS));
        assert_eq!(told.add(7, denied("/a"), 2, now + STANDS), [Again { ticket: 1, count: 2 }]);
        assert!(told.count(7, &denied("/a"), now + STANDS));
        assert_eq!(told.finish(), [Again { ticket: 2, count: 1 }]);
        assert_eq!(told.finish(), []);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_nothing_that_was_counted_is_lost() {
        let (mut told, now) = (Told::default(), Instant::now());
        let mut counted = 0;
        for number in 0..5000 {
            let path = format!("/{number}");
            counted += told.add(7, denied(&path), number, now).iter().map(|again| again.count).sum::<u64>();
            assert!(told.count(7, &denied(&path), now));
            assert!(told.0.len() <= MOST);
        }
        counted += told.finish().iter().map(|again| again.count).sum::<u64>();
        assert_eq!(counted, 5000);
    }
}

//! Where all sources put what they denied.
//!
//! The sandbox decides how many different things it tries, so everything here is bounded: the number of distinct events, and the length
//! of each text. What did not fit is counted, and the count is said.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::subscriber::{self, Subscriber, Subscription};
use super::{Event, IgnoreRules, Kind, Source};

/// Distinct events kept of one run: about 1 MiB at worst with ordinary paths.
const MAX_EVENTS: usize = 1000;

/// Longest operation and longest target kept, in bytes: a path of Linux.
const MAX_TEXT: usize = 4096;

/// What makes two denials the same: kind, operation, target, executable.
type Key = (Kind, String, String, Option<String>);

/// A handle to the events of one run. Clones share them; any thread may report.
#[derive(Clone, Debug, Default)]
pub struct EventSink {
    shared: Arc<Mutex<Collector>>,
    news: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Collector {
    ignore: IgnoreRules,
    events: Vec<Event>,
    places: HashMap<Key, usize>,
    dropped: u64,
    subscribers: Vec<Subscriber>,
}

/// Everything that was reported.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Distinct events in the order of their first occurrence, each with its count.
    pub events: Vec<Event>,
    /// Denials of further distinct things, which were not kept.
    pub dropped: u64,
}

impl EventSink {
    /// A sink that drops what the rules cover.
    pub fn new(ignore: IgnoreRules) -> Self {
        EventSink { shared: Arc::new(Mutex::new(Collector { ignore, ..Collector::default() })), news: Arc::default() }
    }

    /// Adds one denial, or counts it where the same was reported before.
    pub fn report(&self, event: Event) {
        if self.lock().add(event) {
            self.news.notify_waiters();
        }
    }

    /// The distinct event at this place, from 0 in the order of their first occurrence, with its count of now.
    pub fn at(&self, place: usize) -> Option<Event> {
        self.lock().events.get(place).cloned()
    }

    /// Wakes all who wait when there is another distinct event. Nothing is missed where the future is made before the last look.
    pub fn news(&self) -> &Notify {
        &self.news
    }

    /// Denied operations up to now, all of them.
    pub fn total(&self) -> u64 {
        let collector = self.lock();
        collector.events.iter().fold(collector.dropped, |sum, event| sum.saturating_add(event.count))
    }

    /// Every further distinct event, as it is first seen. Reporting never waits for a subscriber.
    pub fn subscribe(&self) -> Subscription {
        let (subscriber, subscription) = subscriber::pair();
        self.lock().subscribers.push(subscriber);
        subscription
    }

    /// What was reported so far.
    pub fn snapshot(&self) -> Report {
        let collector = self.lock();
        Report { events: collector.events.clone(), dropped: collector.dropped }
    }

    /// A reporter that panicked left a consistent collector: each change below is one step.
    fn lock(&self) -> MutexGuard<'_, Collector> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector {
    /// True where it is the first of its kind.
    fn add(&mut self, mut event: Event) -> bool {
        truncate(&mut event.operation);
        truncate(&mut event.target);
        if self.ignore.covers(&event) {
            return false;
        }
        // A process that the kernel told of may be gone before its executable could be asked for; its name came with the record.
        let by_name = event.source == Source::Ebpf;
        let exe = event.process.as_ref().map(|process| if by_name { process.comm.clone() } else { process.exe.clone() });
        let key = (event.kind, event.operation.clone(), event.target.clone(), exe);
        match self.places.get(&key) {
            Some(place) => self.events[*place].count = self.events[*place].count.saturating_add(event.count),
            None if self.events.len() < MAX_EVENTS => {
                self.places.insert(key, self.events.len());
                self.subscribers.retain(|subscriber| subscriber.tell(&event));
                self.events.push(event);
                return true;
            }
            None => self.dropped = self.dropped.saturating_add(event.count),
        }
        false
    }
}

/// Cuts at a character boundary.
fn truncate(text: &mut String) {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
}

#[cfg(test)]
mod tests {
    use super::super::testing::event;
    use super::*;
    use crate::policy::{Located, Origin};

    #[test]
    fn the_same_denial_is_one_event_with_a_count() {
        let sink = EventSink::default();
        for target in ["a:1", "b:1", "a:1"] {
            sink.clone().report(event(target));
        }
        let counts: Vec<_> = sink.snapshot().events.into_iter().map(|event| (event.target, event.count)).collect();
        assert_eq!(counts, [("a:1".to_owned(), 2), ("b:1".to_owned(), 1)]);
    }

    #[test]
    fn distinct_events_and_texts_are_bounded_and_the_rest_is_counted() {
        let sink = EventSink::default();
        for number in 0..MAX_EVENTS + 7 {
            sink.report(event(&format!("{number}.example.com:443")));
        }
        sink.report(event("0.example.com:443"));
        let report = sink.snapshot();
        assert_eq!((report.events.len(), report.dropped, report.events[0].count), (MAX_EVENTS, 7, 2));

        let sink = EventSink::default();
        sink.report(event(&"ü".repeat(100_000)));
        assert_eq!(sink.snapshot().events[0].target.len(), MAX_TEXT);
    }

    #[test]
    fn subscribers_hear_of_each_distinct_event_once_and_of_what_they_lost() {
        let sink = EventSink::default();
        let (mut quick, mut slow) = (sink.subscribe(), sink.subscribe());
        for target in ["a:1", "a:1", "b:1"] {
            sink.report(event(target));
        }
        let targets: Vec<_> = std::iter::from_fn(|| quick.try_next()).map(|event| event.target).collect();
        assert_eq!((targets, quick.lost()), (vec!["a:1".to_owned(), "b:1".to_owned()], 0));
        for number in 0..600 {
            sink.report(event(&format!("{number}:1")));
        }
        let heard = std::iter::from_fn(|| slow.try_next()).count() as u64;
        assert_eq!(heard + slow.lost(), 602);
        assert_eq!(slow.lost(), 0, "told once");
    }

    #[test]
    fn ignored_denials_are_not_kept() {
        let entry = Located::new(("*".to_owned(), vec!["telemetry".to_owned()]), Origin::Flag("--test"));
        let sink = EventSink::new(IgnoreRules::build(&[entry], "x").unwrap());
        sink.report(event("telemetry.example.com:443"));
        sink.report(event("example.com:443"));
        assert_eq!(sink.snapshot().events.len(), 1);
    }
}

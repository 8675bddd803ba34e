//! Whoever wants to hear of a denial when it happens.
//!
//! A reporter never waits: it may be the broker with a program behind it. A subscriber that is slow loses events, and is told how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Event;

/// Events on their way to one subscriber, at most. More than a person or a program takes in at once.
const PENDING: usize = 256;

/// The sink's end.
#[derive(Debug)]
pub(super) struct Subscriber {
    events: Sender<Event>,
    lost: Arc<AtomicU64>,
}

/// The subscriber's end: each distinct event once, when it is first seen. Its count is final only in the report at the end.
#[derive(Debug)]
pub struct Subscription {
    events: Receiver<Event>,
    lost: Arc<AtomicU64>,
}

/// Both ends.
pub(super) fn pair() -> (Subscriber, Subscription) {
    let (sender, events) = channel(PENDING);
    let lost = Arc::new(AtomicU64::new(0));
    (Subscriber { events: sender, lost: lost.clone() }, Subscription { events, lost })
}

impl Subscriber {
    /// Hands the event over, or counts it as lost. False where nobody listens any more.
    pub(super) fn tell(&self, event: &Event) -> bool {
        if self.events.is_closed() {
            return false;
        }
        if self.events.try_send(event.clone()).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        true
    }
}

impl Subscription {
    /// The next event; `None` when no sink is left that could report one.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// How many were lost since this was last asked.
    pub fn lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

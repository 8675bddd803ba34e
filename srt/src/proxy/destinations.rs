//! Which destinations were admitted and which refused, each told once.
//!
//! The sandbox chooses how many it tries, so only the first ones are kept. One look-up in a table for each connection; the bytes of connections never come here.

use std::cell::RefCell;
use std::collections::HashSet;

use tokio::sync::Notify;

use crate::policy::Target;

/// Distinct destinations that are kept of one run.
const MAX_DESTINATIONS: usize = 1000;

/// A destination with what was decided about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Host and port, as they were asked for.
    pub target: Target,
    /// May it be reached?
    pub allowed: bool,
}

/// Destinations in the order in which they were first seen. One that was refused and is admitted later (the settings changed, a person was asked) is there twice.
#[derive(Debug, Default)]
pub struct Destinations {
    seen: RefCell<HashSet<Destination>>,
    order: RefCell<Vec<Destination>>,
    news: Notify,
}

impl Destinations {
    /// The destination at this place, from 0.
    pub fn at(&self, place: usize) -> Option<Destination> {
        self.order.borrow().get(place).cloned()
    }

    /// Wakes all who wait when there is another destination. Nothing is missed where the future is made before the last look.
    pub fn news(&self) -> &Notify {
        &self.news
    }

    pub(super) fn note(&self, target: &Target, allowed: bool) {
        let mut seen = self.seen.borrow_mut();
        if seen.len() >= MAX_DESTINATIONS {
            return;
        }
        let destination = Destination { target: target.clone(), allowed };
        if seen.insert(destination.clone()) {
            self.order.borrow_mut().push(destination);
            self.news.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        Target::parse(text).unwrap()
    }

    #[test]
    fn each_destination_is_kept_once_for_each_decision_and_their_number_is_bounded() {
        let destinations = Destinations::default();
        for (text, allowed) in [("a.test:1", false), ("a.test:1", false), ("a.test:2", true), ("a.test:1", true)] {
            destinations.note(&target(text), allowed);
        }
        let kept: Vec<_> = (0..).map_while(|place| destinations.at(place)).map(|kept| (kept.target.to_string(), kept.allowed)).collect();
        assert_eq!(kept, [("a.test:1".to_owned(), false), ("a.test:2".to_owned(), true), ("a.test:1".to_owned(), true)]);
        for port in 1..=2 * MAX_DESTINATIONS {
            destinations.note(&target(&format!("b.test:{port}")), true);
        }
        assert!(destinations.at(MAX_DESTINATIONS - 1).is_some() && destinations.at(MAX_DESTINATIONS).is_none());
    }
}

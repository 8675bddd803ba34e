//! Connections that were admitted and have not arrived.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::destination::Destination;
use crate::proxy::stream::Peer;

/// The port of the program's socket, and the address that it connects to, in canonical form.
///
/// Sockets of one program may share a port (`SO_REUSEADDR`) where their other end differs. Two that share both lead to ports of one host that are both allowed; which
/// of them gets which is the program's own affair.
pub(super) type Key = (u16, IpAddr);

/// One admitted connection, with everything that it holds.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Tells it from others with the same key.
    pub(super) number: u64,
    /// Where it leads.
    pub(super) destination: Destination,
    /// The other end.
    pub(super) upstream: Upstream,
    /// Its share of the connections that may be open.
    pub(super) place: OwnedSemaphorePermit,
}

/// The connection to the host.
#[derive(Debug)]
pub(super) enum Upstream {
    /// Open.
    Open(Peer),
    /// There is none: the proxy takes the connection.
    Proxy,
    /// One task that is dialling. It ends when this is dropped.
    Dialling(JoinSet<Result<Peer, i32>>),
}

/// All of them. Their number is bounded by their places.
#[derive(Debug, Default)]
pub(super) struct Pending {
    last: u64,
    waiting: HashMap<Key, VecDeque<Admitted>>,
}

impl Pending {
    /// Adds one, and returns its number.
    pub(super) fn add(&mut self, key: Key, destination: Destination, upstream: Upstream, place: OwnedSemaphorePermit) -> u64 {
        self.last += 1;
        let admitted = Admitted { number: self.last, destination, upstream, place };
        self.waiting.entry(key).or_default().push_back(admitted);
        self.last
    }

    /// The connection that has arrived; `None` where none was admitted.
    pub(super) fn take(&mut self, key: Key) -> Option<Admitted> {
        let waiting = self.waiting.get_mut(&key)?;
        let first = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&key);
        }
        first
    }

    /// Forgets one that did not arrive.
    pub(super) fn forget(&mut self, key: Key, number: u64) {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.retain(|admitted| admitted.number != number);
            if waiting.is_empty() {
                self.waiting.remove(&key);
            }
        }
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

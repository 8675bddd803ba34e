//! What all connections of one proxy share.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;

use super::leaving::Leaving;
use super::{interfaces, limits};
use crate::policy::NetPolicy;
use crate::violation::EventSink;

/// Policy, events and bounded resources. One per sandbox; stays on one thread. Holds no memory worth naming before it is used.
#[derive(Debug)]
pub struct ProxyContext {
    pub(super) policy: NetPolicy,
    pub(super) events: EventSink,
    pub(super) lookups: Arc<Semaphore>,
    /// Connections of clients, whichever way they came.
    pub(super) places: Arc<Semaphore>,
    /// Bytes on their way from the sandbox to a host.
    pub(super) leaving: Leaving,
    own: RefCell<Option<(Instant, Rc<[IpAddr]>)>>,
    #[cfg(target_os = "linux")]
    pub(super) pipes: super::splice::PipePool,
}

impl ProxyContext {
    /// A proxy that enforces `policy` and reports every denial to `events`. Raises this process's soft limit of open descriptors.
    pub fn new(policy: NetPolicy, events: EventSink) -> Self {
        ProxyContext {
            policy,
            events,
            lookups: Arc::new(Semaphore::new(limits::LOOKUPS)),
            places: Arc::new(Semaphore::new(limits::connections())),
            leaving: Leaving::default(),
            own: RefCell::new(None),
            #[cfg(target_os = "linux")]
            pipes: super::splice::PipePool::default(),
        }
    }

    /// Waits, for a bounded time, until what programs had written before they ended is with its hosts.
    pub async fn flush(&self) {
        self.leaving.ended().await;
    }

    /// Addresses of this machine's interfaces, at most a few seconds old. An error means that a name cannot be judged.
    pub(super) fn own_addresses(&self) -> io::Result<Rc<[IpAddr]>> {
        let mut cached = self.own.borrow_mut();
        match &*cached {
            Some((at, addresses)) if at.elapsed() < limits::INTERFACES => Ok(addresses.clone()),
            _ => {
                let addresses: Rc<[IpAddr]> = interfaces::own_addresses()?.into();
                *cached = Some((Instant::now(), addresses.clone()));
                Ok(addresses)
            }
        }
    }
}

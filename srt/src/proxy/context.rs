//! What all connections of one proxy share.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;

use super::denial::{Attempt, Denial};
use super::destinations::Destinations;
use super::leaving::Leaving;
use super::token::Token;
use super::{interfaces, limits};
use crate::ask::{Asker, Decision};
use crate::policy::{Host, NetPolicy, Target};
use crate::violation::EventSink;

/// Policy, events and bounded resources. One per sandbox; stays on one thread. Holds no memory worth naming before it is used.
#[derive(Debug)]
pub struct ProxyContext {
    policy: RefCell<Rc<NetPolicy>>,
    asker: Option<Rc<Asker>>,
    /// What clients must present; none where nobody else reaches the listener.
    pub(super) token: Option<Token>,
    pub(super) events: EventSink,
    pub(super) destinations: Destinations,
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
            policy: RefCell::new(Rc::new(policy)),
            asker: None,
            token: None,
            events,
            destinations: Destinations::default(),
            lookups: Arc::new(Semaphore::new(limits::LOOKUPS)),
            places: Arc::new(Semaphore::new(limits::connections())),
            leaving: Leaving::default(),
            own: RefCell::new(None),
            #[cfg(target_os = "linux")]
            pipes: super::splice::PipePool::default(),
        }
    }

    /// The same, with somebody to ask about hosts that no rule decides.
    #[must_use]
    pub fn asking(mut self, asker: Option<Rc<Asker>>) -> Self {
        self.asker = asker;
        self
    }

    /// The same, for clients that present this only.
    #[must_use]
    pub fn guarded_by(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// The policy in force. Whoever needs one answer to several questions keeps what this returns: the next call may return another.
    pub fn policy(&self) -> Rc<NetPolicy> {
        self.policy.borrow().clone()
    }

    /// Puts another policy in force, for everything that is decided from now on. Connections that were allowed stay.
    pub fn replace_policy(&self, policy: NetPolicy) {
        self.policy.replace(Rc::new(policy));
    }

    /// Can somebody be asked about this host, at some port? For the name server: such a name must resolve, or the question never comes.
    pub fn may_resolve(&self, host: &Host) -> bool {
        self.asker.as_ref().is_some_and(|asker| asker.is_open()) && self.policy().leaves_open(host)
    }

    /// Where the sandbox was let and not let, up to now.
    pub fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    /// May this attempt go on? Asks the policy and, where no rule decides, whoever can be asked. A denial is reported before it is returned.
    pub(super) async fn judge(&self, attempt: Attempt<'_>, target: &Target) -> Result<(), Denial> {
        let judged = self.verdict(attempt, target).await;
        self.destinations.note(target, judged.is_ok());
        judged
    }

    async fn verdict(&self, attempt: Attempt<'_>, target: &Target) -> Result<(), Denial> {
        let policy = self.policy();
        let verdict = policy.decide(&target.host, target.port);
        attempt.log(target, &verdict);
        if verdict.allowed {
            return Ok(());
        }
        match &self.asker {
            Some(asker) if verdict.undecided() && !policy.strict => match asker.ask(target).await {
                Decision::Allowed => Ok(()),
                Decision::Denied => Err(attempt.refuse_by_person(self, target)),
                Decision::Undecided(why) => Err(attempt.refuse_unanswered(self, target, &verdict, why)),
            },
            _ => Err(attempt.refuse(self, target, &verdict)),
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

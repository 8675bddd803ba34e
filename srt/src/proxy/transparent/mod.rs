//! Connections of programs that know of no proxy.
//!
//! Every address of the sandbox's network leads to its own loopback. When a program connects to one, the broker first binds the program's socket to a port, then asks
//! [`Transparent::admit`]; what is allowed is connected to *(the address asked for, our port)*, and the listener there knows by both what was meant.
//!
//! **When the host is dialled.** Before the broker gets its answer, so that a program sees the true error of a host that is down, as it would outside, and not a
//! connection that opens and breaks. A blocking connect waits as long as it takes. One that must not block is given [`GRACE`], in which a host nearby
//! answers or refuses; after that the connection is let in and the dialling goes on beside it. Should it fail then, the program sees a reset.
//!
//! Trust: address, port and process come from the broker, which is ours. That a connection arrives proves nothing: anyone inside can connect to the listener. One that
//! was not admitted is closed unread; one that was leads to where *its* port and address were admitted to, which the policy allowed whoever uses it.

mod accept;
mod admission;
mod destination;
mod pending;
mod report;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::ProxyContext;
use super::names::Names;
use crate::violation::Process;
use pending::Pending;

pub(super) use accept::serve;

/// How long a connect(2) that must not block may take nevertheless.
const GRACE: Duration = Duration::from_millis(50);

/// What kind of socket is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A call that the broker holds.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Of the caller's socket.
    pub protocol: Protocol,
    /// The address in the call.
    pub target: SocketAddr,
    /// The port that the caller's socket is bound to.
    pub local_port: u16,
    /// The caller's socket is non-blocking.
    pub nonblocking: bool,
    /// The call, as events name it: `connect`, `sendto`.
    pub operation: String,
    /// Who calls.
    pub process: Option<Process>,
}

/// What the broker does with the call.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Perform it as it is.
    AsAsked,
    /// Connect to the same address, but to this port.
    Redirected(u16),
    /// Fail with this errno.
    Refused(i32),
}

/// Whose network the sandbox is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// Its own: every address is local, and the loopback is nobody else's.
    Own,
    /// The host's. What is admitted is connected to our port of its loopback, and nothing else may be reached as it was asked.
    Host,
}

/// Admits connections and carries them. One per sandbox; stays on one thread.
#[derive(Debug)]
pub struct Transparent {
    context: Rc<ProxyContext>,
    names: Rc<RefCell<Names>>,
    pending: RefCell<Pending>,
    /// Port of the listener.
    port: u16,
    ground: Ground,
}

impl Transparent {
    /// For the listener at this port; `names` are those that the name server gives out.
    pub(super) fn new(context: Rc<ProxyContext>, names: Rc<RefCell<Names>>, port: u16, ground: Ground) -> Self {
        Transparent { context, names, pending: RefCell::default(), port, ground }
    }
}

/// What tests look at.
#[cfg(all(test, target_os = "linux"))]
impl Transparent {
    pub(super) fn names(&self) -> &RefCell<Names> {
        &self.names
    }

    pub(super) fn awaits_nothing(&self) -> bool {
        self.pending.borrow().is_empty()
    }

    pub(super) fn free_places(&self) -> usize {
        self.context.places.available_permits()
    }
}

//! May a connection be made, and to what?

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::destination::{Destination, canonical, destination};
use super::pending::{Key, Upstream};
use super::{Admission, Asked, GRACE, Ground, Protocol, Transparent};
use crate::policy::Target;
use crate::proxy::dial::DialError;
use crate::proxy::stream::{Peer, Stream};
use crate::proxy::{happy_eyeballs, limits, route};

/// Our name server is on this port of every address.
const DNS: u16 = crate::plan::DNS_PORT;
/// The broker connects at once; what has not arrived by then never will.
const UNUSED: Duration = Duration::from_secs(10);

const REFUSED: Admission = Admission::Refused(Errno::ECONNREFUSED as i32);

impl Transparent {
    /// Decides on a call that the broker holds. A denial is reported before it is returned.
    ///
    /// Takes as long as the host needs to answer, or a short moment where the caller must not wait. When the future is dropped, its dialling ends.
    pub async fn admit(self: &Rc<Self>, asked: Asked) -> Admission {
        let destination = destination(asked.target, &self.context.policy(), &self.names, self.ground);
        match (destination, asked.protocol) {
            (Destination::Own, _) if self.ground == Ground::Host => self.refuse_loopback(&asked),
            (destination, Protocol::Udp) if self.ground == Ground::Host => self.refuse_datagrams(&asked, &destination),
            // Whatever address was asked, only our name server listens there.
            (Destination::Own, _) => Admission::AsAsked,
            (_, _) if asked.target.port() == DNS => Admission::AsAsked,
            (destination, Protocol::Udp) => self.admit_datagrams(&asked, &destination),
            (destination, Protocol::Tcp) => self.admit_stream(asked, destination).await,
        }
    }

    /// Connecting a datagram socket sends nothing: C libraries and Go do it to sort the addresses of a name (RFC 6724 section 6). What is sent on it
    /// afterwards finds nobody, which the kernel says as ECONNREFUSED.
    fn admit_datagrams(&self, asked: &Asked, destination: &Destination) -> Admission {
        match destination {
            Destination::Host(_, Some(_)) if asked.operation == "connect" => Admission::AsAsked,
            Destination::Host(..) => self.refuse_datagrams(asked, destination),
            Destination::Own | Destination::Proxy | Destination::HostLoopback(_) => Admission::AsAsked,
        }
    }

    fn refuse_datagrams(&self, asked: &Asked, destination: &Destination) -> Admission {
        let (target, why) = match destination {
            Destination::Host(target, _) => (target.to_string(), "UDP is not carried, but for name lookups"),
            _ => (asked.target.to_string(), "UDP is not carried where the network is the host's"),
        };
        asked.attempt().refuse_builtin(&self.context, &target, "udp", why);
        REFUSED
    }

    /// The loopback is the host's, and what listens there is not the sandbox's: the broker asks about nothing else.
    fn refuse_loopback(&self, asked: &Asked) -> Admission {
        let why = "the loopback is the host's; network.allowHostPorts opens a port of it";
        asked.attempt().refuse_builtin(&self.context, &asked.target.to_string(), "loopback", why);
        REFUSED
    }

    async fn admit_stream(self: &Rc<Self>, asked: Asked, destination: Destination) -> Admission {
        if asked.target.port() == 0 {
            return REFUSED;
        }
        if let Destination::Host(target, _) = &destination
            && self.context.judge(asked.attempt(), target).await.is_err()
        {
            return REFUSED;
        }
        let Ok(Ok(place)) = timeout(self.patience(&asked), self.context.places.clone().acquire_owned()).await else {
            return Admission::Refused(Errno::EAGAIN as i32);
        };
        // The listener knows a connection by the address that it was made to.
        let at = if self.ground == Ground::Host { Ipv4Addr::LOCALHOST.into() } else { canonical(asked.target.ip()) };
        let key = (asked.local_port, at);
        let mut dialling = JoinSet::new();
        let wait = self.patience(&asked);
        match &destination {
            Destination::Host(target, _) => drop(dialling.spawn_local(self.clone().dial_host(asked, target.clone()))),
            Destination::HostLoopback(address) => drop(dialling.spawn_local(dial_loopback(*address))),
            Destination::Proxy => {
                self.expect(key, destination, Upstream::Proxy, place);
                return Admission::Redirected(self.port);
            }
            Destination::Own => return Admission::AsAsked,
        }
        let upstream = match timeout(wait, dialling.join_next()).await {
            Ok(Some(Ok(Ok(peer)))) => Upstream::Open(peer),
            Ok(Some(Ok(Err(errno)))) => return Admission::Refused(errno),
            Ok(_ended_without_a_result) => return Admission::Refused(Errno::EIO as i32),
            Err(_elapsed) => Upstream::Dialling(dialling),
        };
        self.expect(key, destination, upstream, place);
        Admission::Redirected(self.port)
    }

    fn patience(&self, asked: &Asked) -> Duration {
        // Dialling has a bound of its own, whose answer is a better one.
        if asked.nonblocking { GRACE } else { limits::DIAL + Duration::from_secs(1) }
    }

    fn expect(self: &Rc<Self>, key: Key, destination: Destination, upstream: Upstream, place: OwnedSemaphorePermit) {
        let number = self.pending.borrow_mut().add(key, destination, upstream, place);
        let transparent = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(UNUSED).await;
            if let Some(transparent) = transparent.upgrade() {
                transparent.pending.borrow_mut().forget(key, number);
            }
        });
    }

    /// The same way as through a proxy; the error is an errno.
    async fn dial_host(self: Rc<Self>, asked: Asked, target: Target) -> Result<Peer, i32> {
        route::open_tunnel(&self.context, &target).await.map_err(|error| {
            if let DialError::Refused(class) = error {
                asked.attempt().refuse_address(&self.context, &target, class);
            }
            errno(&error) as i32
        })
    }
}

/// `allowHostPorts`. Servers may listen on either loopback address and call both "localhost".
async fn dial_loopback(asked: SocketAddr) -> Result<Peer, i32> {
    let other = if asked.is_ipv4() { IpAddr::from(Ipv6Addr::LOCALHOST) } else { Ipv4Addr::LOCALHOST.into() };
    let attempt = |ip| async move { timeout(limits::DIAL, happy_eyeballs::connect(&[SocketAddr::new(ip, asked.port())])).await? };
    let refused = |error: &io::Error| error.raw_os_error().unwrap_or(Errno::ECONNREFUSED as i32);
    let stream = match attempt(asked.ip()).await {
        Ok(stream) => stream,
        Err(first) => attempt(other).await.map_err(|_same| refused(&first))?,
    };
    Stream::tcp(stream).map(Peer::from).map_err(|error| refused(&error))
}

/// As connect(2) would say it.
fn errno(error: &DialError) -> Errno {
    match error {
        DialError::Refused(_) | DialError::Parent(_) => Errno::ECONNREFUSED,
        DialError::Unresolved => Errno::EHOSTUNREACH,
        DialError::TimedOut => Errno::ETIMEDOUT,
        DialError::Connect(error) => match (error.raw_os_error(), error.kind()) {
            // What goes wrong in the supervisor itself is nothing that a program could make sense of.
            (Some(number), io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut) => Errno::from_raw(number),
            (Some(number), io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => Errno::from_raw(number),
            _ => Errno::EHOSTUNREACH,
        },
    }
}

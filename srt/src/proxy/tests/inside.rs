//! A sandbox's network without a sandbox: real sockets, real routes, and the broker's part played by the test.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::net::TcpSocket;

use super::*;
use crate::linux::{Inside, Network as Wanted};
use crate::policy::{Host, Located, Origin};
use crate::proxy::{Admission, Asked, Network, Protocol, Published, Transparent};
use crate::violation::Process;

/// A served network.
pub(super) struct World {
    pub(super) inside: Inside,
    pub(super) transparent: Rc<Transparent>,
    pub(super) events: EventSink,
}

/// A network that is served under this policy; `None` where this user may not make one.
pub(super) fn world(policy: NetPolicy) -> Option<World> {
    world_with(policy, Published::default())
}

/// The same where there is no IPv6.
pub(super) fn world_without_ipv6(policy: NetPolicy) -> Option<World> {
    serve(policy, Published::default(), Inside::without_ipv6(wanted())?)
}

pub(super) fn world_with(policy: NetPolicy, published: Published) -> Option<World> {
    serve(policy, published, Inside::new(wanted())?)
}

fn wanted() -> Wanted {
    Wanted { proxy_port: 3128, transparent: true, inward: 4, host_listeners: Vec::new() }
}

fn serve(policy: NetPolicy, published: Published, (inside, sockets): (Inside, Vec<OwnedFd>)) -> Option<World> {
    let events = EventSink::default();
    let context = Rc::new(ProxyContext::new(policy, events.clone()));
    let network = Network::new(sockets, true).unwrap();
    Some(World { inside, transparent: network.serve(context, published).unwrap().unwrap(), events })
}

pub(super) fn port(number: u16) -> Located<u16> {
    Located::new(number, Origin::Flag("--test"))
}

pub(super) fn process() -> Process {
    Process { pid: 42, ppid: 1, exe: "/usr/bin/psql".into(), comm: "psql".into(), argv: vec!["psql".into()] }
}

impl World {
    /// The addresses that stand for a name, as the name server would give them.
    pub(super) fn addresses(&self, name: &str) -> [IpAddr; 2] {
        let name = Host::parse(name).unwrap().name().unwrap().clone();
        let number = self.transparent.names().borrow_mut().number(&name).unwrap();
        [crate::proxy::names::v4(number).into(), crate::proxy::names::v6(number).into()]
    }

    /// A socket inside, bound to a port of its own: what the broker holds when it asks.
    pub(super) fn socket(&self, family: AddressFamily) -> (OwnedFd, u16) {
        self.inside.run(move || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None).unwrap();
            let any: IpAddr = if family == AddressFamily::INET { [0; 4].into() } else { [0u16; 8].into() };
            rustix::net::bind(&socket, &SocketAddr::new(any, 0)).unwrap();
            let bound = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
            (socket, bound.port())
        })
    }

    pub(super) fn asked(target: SocketAddr, local_port: u16, nonblocking: bool) -> Asked {
        Asked { protocol: Protocol::Tcp, target, local_port, nonblocking, operation: "connect".to_owned(), process: Some(process()) }
    }

    /// connect(2) as the broker performs it; an errno where it fails.
    pub(super) async fn connect(&self, target: SocketAddr, nonblocking: bool) -> Result<TcpStream, i32> {
        let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let (socket, local_port) = self.socket(family);
        let address = match self.transparent.admit(Self::asked(target, local_port, nonblocking)).await {
            Admission::Redirected(port) => SocketAddr::new(target.ip(), port),
            Admission::AsAsked => target,
            Admission::Refused(errno) => return Err(errno),
        };
        let socket = TcpSocket::from_std_stream(socket.into());
        socket.connect(address).await.map_err(|error| error.raw_os_error().unwrap_or(0))
    }

    pub(super) async fn admit(&self, protocol: Protocol, target: &str, operation: &'static str) -> Admission {
        let target = target.parse().unwrap();
        self.transparent
            .admit(Asked { protocol, target, local_port: 1, nonblocking: false, operation: operation.to_owned(), process: None })
            .await
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.events.snapshot().events
    }
}

/// Sends and gets it back.
pub(super) async fn echoes(stream: &mut TcpStream) -> bool {
    let mut back = [0; 5];
    stream.write_all(b"hello").await.is_ok() && stream.read_exact(&mut back).await.is_ok() && &back == b"hello"
}

/// What reading gives: the end of the stream, or an error.
pub(super) async fn end(stream: &mut TcpStream) -> Result<usize, io::ErrorKind> {
    stream.read(&mut [0; 16]).await.map_err(|error| error.kind())
}

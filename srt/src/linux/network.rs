//! The sandbox's own network: a loopback, and sockets that the supervisor serves.
//!
//! Making a network namespace takes the kernel as long as everything else that is done in `init` together, so a helper process makes it while
//! `init` arranges the file tree, and `init` joins it through a socket. The sockets go to the supervisor, which accepts on them and dials out from the host's
//! namespace: no bridge process, no socket file, no port on the host. See network_namespaces(7), unshare(2), setns(2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::failure::{Failure, Step as _};
use super::helper::Helper;
use super::route::Netlink;
use super::script::Network;
use super::sys::{close_now, interface_up, namespace_of};
use crate::plan::{DNS_PORT, TRANSPARENT_PORT};

/// Connections that wait to be accepted: many programs may start at once.
const BACKLOG: i32 = 1024;

/// A network that is being made.
pub(super) struct Pending(Helper<Making>);

/// What the helper is told, and what it made.
#[derive(Default)]
struct Making {
    network: Network,
    /// As [`Sockets::all`]. Its capacity is enough from the start: the helper must not allocate.
    sockets: Vec<OwnedFd>,
}

/// The sockets of a network, for the supervisor.
pub(super) struct Sockets {
    /// The proxy's listener; where the network is transparent, the transparent listener and the name server's two sockets; then, unconnected, those that
    /// connections from outside will use.
    all: Vec<OwnedFd>,
}

impl Sockets {
    /// In the order of [`super::channel::Report::Sockets`].
    pub(super) fn all(&self) -> Vec<BorrowedFd<'_>> {
        self.all.iter().map(OwnedFd::as_fd).collect()
    }
}

/// Starts making the network.
pub(super) fn begin(network: Network) -> Result<Pending, Failure> {
    for descriptor in &network.host_listeners {
        close_now(*descriptor).step("leave the host's ports to the supervisor")?;
    }
    let sockets = Vec::with_capacity(4 + 2 * network.inward);
    // SAFETY: `make` does system calls through rustix only, and stays within the capacity.
    unsafe { Helper::start(make, Making { network, sockets }) }.map(Pending).step("start making the network")
}

/// In the helper: a new namespace, its loopback, its routes and the sockets.
fn make(making: &mut Making) -> Result<(), Errno> {
    leave_network()?;
    fill(making)
}

fn leave_network() -> Result<(), Errno> {
    // SAFETY: a new network namespace takes nothing away that memory safety depends on; descriptors stay as they are.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
}

/// Everything inside the namespace that is current.
fn fill(making: &mut Making) -> Result<(), Errno> {
    interface_up(c"lo")?;
    let Making { network, sockets } = making;
    keep(sockets, listener(SocketAddr::from((Ipv4Addr::LOCALHOST, network.proxy_port)))?)?;
    if network.transparent {
        let any = if all_local()? { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
        keep(sockets, listener(SocketAddr::new(any, TRANSPARENT_PORT))?)?;
        keep(sockets, bound(SocketAddr::new(any, DNS_PORT), SocketType::DGRAM)?)?;
        keep(sockets, listener(SocketAddr::new(any, DNS_PORT))?)?;
    }
    for _ in 0..network.inward {
        keep(sockets, rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, FLAGS, None)?)?;
        // Without IPv6 there are none of these.
        if let Ok(socket) = rustix::net::socket_with(AddressFamily::INET6, SocketType::STREAM, FLAGS, None) {
            keep(sockets, socket)?;
        }
    }
    Ok(())
}

/// Within the capacity, adding does not allocate.
fn keep(sockets: &mut Vec<OwnedFd>, socket: OwnedFd) -> Result<(), Errno> {
    if sockets.len() == sockets.capacity() {
        return Err(Errno::NOMEM);
    }
    sockets.push(socket);
    Ok(())
}

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Makes every address local. False where there is no IPv6, whatever the kernel calls that: it is then missing for the sandbox as for everybody.
fn all_local() -> Result<bool, Errno> {
    let netlink = Netlink::open()?;
    netlink.make_v4_local()?;
    let probe = || {
        netlink.make_v6_local()?;
        rustix::net::socket_with(AddressFamily::INET6, SocketType::DGRAM, FLAGS, None)
    };
    Ok(probe().is_ok())
}

fn listener(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = bound(address, SocketType::STREAM)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// One socket on the IPv6 wildcard serves both families.
fn bound(address: SocketAddr, kind: SocketType) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, kind, FLAGS, None)?;
    if address.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

impl Pending {
    /// Joins the network, with this process and all that it will start.
    pub(super) fn enter(self) -> Result<Sockets, Failure> {
        let all = self.0.join().step("make the network")?.sockets;
        let first = all.first().ok_or_else(|| Failure::new("make the network", Errno::BADF))?;
        let namespace = namespace_of(first.as_fd()).step("find the network")?;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).step("enter the network")?;
        Ok(Sockets { all })
    }
}

/// A network without a sandbox around it, for tests of what serves it.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::mpsc;

    use super::*;

    type Work = Box<dyn FnOnce() + Send>;

    /// A thread that lives in a new network.
    pub(crate) struct Inside(mpsc::Sender<Work>);

    impl Inside {
        /// Makes the network as `init` does; `None` where this process may not. Also the sockets, in their order.
        pub(crate) fn new(network: Network) -> Option<(Inside, Vec<OwnedFd>)> {
            Self::prepared(network, || {})
        }

        /// The same on a host that has switched IPv6 off.
        pub(crate) fn without_ipv6(network: Network) -> Option<(Inside, Vec<OwnedFd>)> {
            let switch = "/proc/sys/net/ipv6/conf/lo/disable_ipv6";
            Self::prepared(network, move || drop(std::fs::write(switch, "1")))
        }

        fn prepared(network: Network, prepare: impl FnOnce() + Send + 'static) -> Option<(Inside, Vec<OwnedFd>)> {
            let (work, works) = mpsc::channel::<Work>();
            let (sender, made) = mpsc::channel();
            std::thread::spawn(move || {
                let sockets = Vec::with_capacity(4 + 2 * network.inward);
                let mut making = Making { network, sockets };
                let result = leave_network().and_then(|()| {
                    prepare();
                    fill(&mut making)
                });
                sender.send(result.map(|()| making.sockets)).unwrap();
                works.into_iter().for_each(|work| work());
            });
            match made.recv().unwrap() {
                Ok(sockets) => Some((Inside(work), sockets)),
                Err(Errno::PERM) => {
                    println!("skipped: this user may not make a network namespace");
                    None
                }
                Err(error) => panic!("{error}"),
            }
        }

        /// Does something in there; a socket made so belongs there.
        pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
            let (sender, done) = mpsc::channel();
            self.0.send(Box::new(move || sender.send(work()).unwrap())).unwrap();
            done.recv().unwrap()
        }
    }

    #[test]
    fn every_address_is_local_and_the_sockets_are_as_promised() {
        let network = Network { proxy_port: 3128, transparent: true, inward: 2, host_listeners: Vec::new() };
        let Some((inside, sockets)) = Inside::new(network) else { return };
        let ports: Vec<u16> = sockets.iter().take(4).map(|socket| local(socket).port()).collect();
        assert_eq!(ports, [3128, TRANSPARENT_PORT, DNS_PORT, DNS_PORT]);
        for address in ["198.18.0.1", "192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"] {
            let address = SocketAddr::new(address.parse().unwrap(), TRANSPARENT_PORT);
            let connected = inside.run(move || std::net::TcpStream::connect(address).map(|stream| stream.peer_addr().unwrap()));
            // Without IPv6 in the kernel there is one family.
            if local(&sockets[1]).is_ipv6() || address.is_ipv4() {
                assert_eq!(connected.unwrap(), address);
            }
        }
        assert!(sockets.len() == 8 || !local(&sockets[1]).is_ipv6());
    }

    #[test]
    fn without_transparency_there_is_the_proxys_listener_and_nothing_else() {
        let Some((inside, sockets)) = Inside::new(Network { proxy_port: 3128, ..Network::default() }) else { return };
        assert_eq!(sockets.len(), 1);
        let refused = inside.run(|| std::net::TcpStream::connect("198.18.0.1:3129").map_err(|error| error.kind()).map(drop));
        assert_eq!(refused, Err(std::io::ErrorKind::NetworkUnreachable));
    }

    fn local(socket: &OwnedFd) -> SocketAddr {
        SocketAddr::try_from(rustix::net::getsockname(socket).unwrap()).unwrap()
    }
}

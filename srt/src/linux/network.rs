//! The sandbox's own network: a loopback, and a listener that the supervisor serves.
//!
//! Making a network namespace takes the kernel as long as everything else that is done in `init` together, so a helper process makes it while
//! `init` arranges the file tree, and `init` joins it through the listener. The listener goes to the supervisor, which accepts on it and dials out from the host's
//! namespace: no bridge process, no socket file, no port on the host. See network_namespaces(7), unshare(2), setns(2).

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::failure::{Failure, Step as _};
use super::helper::Helper;
use super::script::Network;
use super::sys::{interface_up, namespace_of};

/// Connections that wait to be accepted: many programs may start at once.
const BACKLOG: i32 = 1024;

/// A network that is being made.
pub(super) struct Pending(Helper);

/// Starts making the network.
pub(super) fn begin(network: Network) -> Result<Pending, Failure> {
    // SAFETY: `make` does system calls through rustix only.
    unsafe { Helper::start(make, network.proxy_port) }.map(Pending).step("start making the network")
}

/// In the helper: a new namespace, its loopback, and the listening socket.
fn make(port: u16) -> Result<OwnedFd, Errno> {
    // SAFETY: a new network namespace takes nothing away that memory safety depends on; descriptors stay as they are.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
    interface_up(c"lo")?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

impl Pending {
    /// Joins the network, with this process and all that it will start.
    pub(super) fn enter(self) -> Result<TcpListener, Failure> {
        let socket = self.0.join().step("make the network")?;
        let namespace = namespace_of(socket.as_fd()).step("find the network")?;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).step("enter the network")?;
        Ok(TcpListener::from(socket))
    }
}

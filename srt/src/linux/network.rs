//! The sandbox's own network: a loopback, and a listener that the supervisor serves.
//!
//! Runs in `init`, in the new network namespace. The descriptor goes to the supervisor, which accepts on it and dials out from the host's
//! namespace: no bridge process, no socket file, no port on the host. See network_namespaces(7).

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::failure::{Failure, Step as _};
use super::script::Network;
use super::sys::interface_up;

/// Connections that wait to be accepted: many programs may start at once.
const BACKLOG: i32 = 1024;

/// Brings the loopback up and listens on it.
pub(super) fn enter(network: Network) -> Result<TcpListener, Failure> {
    interface_up(c"lo").step("bring the loopback up")?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).step("make the proxy's socket")?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, network.proxy_port)).step("bind the proxy's socket")?;
    rustix::net::listen(&socket, BACKLOG).step("listen for the proxy")?;
    Ok(TcpListener::from(socket))
}

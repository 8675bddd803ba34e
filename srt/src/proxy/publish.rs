//! `publishPorts`: a port of the host's loopback leads to the same port of the sandbox's.
//!
//! A socket belongs to the network that it was made in, whoever holds it. So the connections into the sandbox use sockets that were made there before the
//! command started, a fixed number of them, and nobody on the host has to enter the sandbox's network for one. A socket whose connection has ended
//! is dissolved (connect(2), `AF_UNSPEC`) and serves the next.
//!
//! Any program on the host can use such a port, and the sandbox's server sees it as its own loopback: that is what the setting asks for.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::AddressFamily;
use rustix::net::sockopt::set_socket_linger;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::listener::ACCEPT_PAUSE;
use super::stream::{Peer, Stream};
use super::{ProxyContext, limits, tunnel};
use crate::Fault;
use crate::policy::Located;

/// Listeners on the host, open before the command starts.
#[derive(Debug, Default)]
pub struct Published(Vec<(u16, std::net::TcpListener)>);

/// Listens at each port of the host's loopback, of both families where there are two.
///
/// # Errors
/// A port that is taken or that this user may not open.
pub fn listen(ports: &[Located<u16>]) -> Result<Published, Fault> {
    let mut listeners = Vec::new();
    for port in ports {
        let fault = |error| Fault::os(format!("listen at port {} of the host's loopback", port.value), error).from_origin(&port.origin);
        let bind = |ip: IpAddr| std::net::TcpListener::bind(SocketAddr::new(ip, port.value));
        listeners.push((port.value, bind(Ipv4Addr::LOCALHOST.into()).map_err(fault)?));
        match bind(Ipv6Addr::LOCALHOST.into()) {
            Ok(listener) => listeners.push((port.value, listener)),
            // No IPv6 here, or switched off on the loopback.
            Err(error) if [Some(libc::EAFNOSUPPORT), Some(libc::EADDRNOTAVAIL)].contains(&error.raw_os_error()) => {}
            Err(error) => return Err(fault(error)),
        }
    }
    Ok(Published(listeners))
}

impl Published {
    /// Their numbers: a copy of this process must close them.
    pub fn descriptors(&self) -> Vec<RawFd> {
        self.0.iter().map(|(_, listener)| listener.as_raw_fd()).collect()
    }

    /// Serves all of them in the background, with sockets that were made in the sandbox's network.
    pub(super) fn serve(self, sockets: Vec<OwnedFd>, context: &Rc<ProxyContext>) {
        let inward = Rc::new(Inward::new(sockets));
        for (port, listener) in self.0 {
            let (context, inward) = (context.clone(), inward.clone());
            tokio::task::spawn_local(async move { serve(port, listener, inward, context).await });
        }
    }
}

/// Accepts connections until the future is dropped.
async fn serve(port: u16, listener: std::net::TcpListener, inward: Rc<Inward>, context: Rc<ProxyContext>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        // Beyond it none is accepted until one ends.
        let place = inward.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        match listener.accept().await {
            Ok((client, _from)) => {
                let (context, inward) = (context.clone(), inward.clone());
                tokio::task::spawn_local(async move {
                    let _place = place;
                    forward(client, port, &inward, &context).await;
                });
            }
            Err(_failure) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn forward(client: TcpStream, port: u16, inward: &Inward, context: &ProxyContext) {
    let connected = timeout(limits::DIAL, inward.connect(port)).await;
    let (Ok(Ok((_socket, upstream))), Ok(client)) = (connected, Stream::tcp(client).map(Peer::from)) else {
        return;
    };
    // What is inside the sandbox is the client of a relay.
    if tunnel::carry_opaque(context, &upstream, &client).await.is_err() {
        let _closed_anyway = set_socket_linger(&client.stream, Some(Duration::ZERO));
    }
}

/// Sockets of the sandbox's network that are not connected now.
#[derive(Debug)]
struct Inward {
    v4: RefCell<Vec<OwnedFd>>,
    v6: RefCell<Vec<OwnedFd>>,
    places: Arc<Semaphore>,
}

/// A socket in use; it goes back when dropped.
struct Lent<'a> {
    socket: Option<OwnedFd>,
    home: &'a RefCell<Vec<OwnedFd>>,
}

impl Inward {
    fn new(sockets: Vec<OwnedFd>) -> Self {
        let is_v4 = |socket: &OwnedFd| rustix::net::getsockname(socket).is_ok_and(|own| own.address_family() == AddressFamily::INET);
        let (v4, v6): (Vec<_>, Vec<_>) = sockets.into_iter().partition(is_v4);
        let places = Arc::new(Semaphore::new(v4.len()));
        Inward { v4: RefCell::new(v4), v6: RefCell::new(v6), places }
    }

    /// To the server at this port of the sandbox's loopback: programs that listen at "localhost" may have taken either address.
    async fn connect(&self, port: u16) -> io::Result<(Lent<'_>, Peer)> {
        match self.attempt(&self.v4, SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await {
            Ok(connected) => Ok(connected),
            Err(_nobody) => self.attempt(&self.v6, SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await,
        }
    }

    async fn attempt<'a>(&self, home: &'a RefCell<Vec<OwnedFd>>, address: SocketAddr) -> io::Result<(Lent<'a>, Peer)> {
        let socket = home.borrow_mut().pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let copy = std::net::TcpStream::from(socket.try_clone()?);
        let lent = Lent { socket: Some(socket), home };
        let stream = TcpSocket::from_std_stream(copy).connect(address).await?;
        Ok((lent, Stream::tcp(stream)?.into()))
    }
}

impl Drop for Lent<'_> {
    /// One that cannot be dissolved is of no use any more.
    fn drop(&mut self) {
        if let Some(socket) = self.socket.take().filter(|socket| rustix::net::connect_unspec(socket).is_ok()) {
            self.home.borrow_mut().push(socket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Origin;

    #[test]
    fn a_port_that_is_taken_is_an_error_with_its_origin() {
        for taken in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(taken) = std::net::TcpListener::bind(taken) else { continue };
            let port = Located::new(taken.local_addr().unwrap().port(), Origin::Flag("--test"));
            let fault = listen(&[port]).unwrap_err();
            assert!(fault.cause.contains("in use") && fault.origin.is_some(), "{fault}");
        }
    }
}

//! Where the network is the host's: no stream is connected, and no server opened, as it was asked.
//!
//! A connection goes to the supervisor's listener on the host's loopback, which knows by its port what was asked for. The one exception are servers of the sandbox itself: they are known by
//! the inode of the listening socket, which sock_diag(7) and proc_pid_net(5) show, since a port may be another program's tomorrow. Servers listen on the loopback alone, where "every
//! address" means that. Datagrams go nowhere.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use super::super::question::Answer;
use super::address::is_own;
use super::sockets::{admission, call_with, is_under_way};
use super::stop::Stop;
use super::work::{Effect, Work};

/// Servers remembered; the oldest are forgotten, and no longer reached.
const MAX_SERVERS: usize = 4096;

/// Listening sockets that were opened inside: port and inode.
#[derive(Debug, Default)]
pub(super) struct Servers(Mutex<VecDeque<(u16, u64)>>);

impl Servers {
    fn add(&self, port: u16, inode: u64) {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !own.contains(&(port, inode)) {
            own.push_back((port, inode));
        }
        if own.len() > MAX_SERVERS {
            own.pop_front();
        }
    }

    /// Do all that listen at a port of this host belong to the sandbox? Not where nobody does.
    fn have(&self, port: u16) -> bool {
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = own.iter().filter(|(at, _)| *at == port).peekable();
        if known.peek().is_none() {
            return false;
        }
        let known: Vec<u64> = known.map(|(_, inode)| *inode).collect();
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
        let mut listening = tables.iter().flat_map(|table| table.lines()).filter_map(listener).filter(|(at, _)| *at == port).peekable();
        listening.peek().is_some() && listening.all(|(_, inode)| known.contains(&inode))
    }
}

/// Port and inode of a row of proc_pid_net(5) `tcp` that is about a listening socket: `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`.
fn listener(row: &str) -> Option<(u16, u64)> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = row.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    (*state == LISTEN).then_some((port, inode.parse().ok()?))
}

/// The address that is connected to in the place of `target`.
pub(super) fn route(work: &Work<'_>, socket: &OwnedFd, address: Vec<u8>, target: SocketAddr) -> Result<Vec<u8>, Stop> {
    let stream = rustix::net::sockopt::socket_type(socket)? == SocketType::STREAM;
    if stream && (is_under_way(socket) || is_own(target.ip()) && work.broker.servers.have(target.port())) {
        return Ok(address);
    }
    match admission(work, socket, stream, target)? {
        Answer::Redirected(port) => Ok(on_loopback(socket, port)?),
        Answer::Refused(errno) => Err(Errno::from_raw_os_error(errno).into()),
        // It would leave as it is.
        Answer::Proceed => Err(Errno::CONNREFUSED.into()),
    }
}

/// A port of the IPv4 loopback, as this socket's family writes it.
fn on_loopback(socket: &OwnedFd, port: u16) -> Result<Vec<u8>, Errno> {
    bytes_of(socket, Ipv4Addr::LOCALHOST.into(), port)
}

/// `struct sockaddr_in` or `sockaddr_in6`, by the family of the socket.
fn bytes_of(socket: &OwnedFd, ip: IpAddr, port: u16) -> Result<Vec<u8>, Errno> {
    if rustix::net::sockopt::socket_domain(socket)? == AddressFamily::INET6 {
        let ip = match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let family = (libc::AF_INET6 as u16).to_ne_bytes();
        return Ok([&family[..], &port.to_be_bytes(), &[0; 4], &ip.octets(), &[0; 4]].concat());
    }
    match ip {
        IpAddr::V4(ip) => Ok([&(libc::AF_INET as u16).to_ne_bytes()[..], &port.to_be_bytes(), &ip.octets(), &[0; 8]].concat()),
        IpAddr::V6(_) => Err(Errno::AFNOSUPPORT),
    }
}

/// bind(2) of an IP socket: to the loopback.
pub(super) fn bind(work: &Work<'_>, socket: &OwnedFd, address: &[u8], own: SocketAddr) -> Result<Effect, Stop> {
    let bytes = match own.ip() {
        ip if ip.is_unspecified() => bytes_of(socket, every_address(socket, ip)?, own.port())?,
        ip if ip.is_loopback() => address.to_vec(),
        _ => return Err(work.refused(Errno::ACCESS, "net.bind").into()),
    };
    Ok(Effect::Value(call_with(libc::SYS_bind, socket.as_fd(), &bytes)?))
}

/// What "every address" means here. A socket of both families is one of IPv4 then, whose clients are more.
fn every_address(socket: &OwnedFd, asked: IpAddr) -> Result<IpAddr, Errno> {
    let both = asked.is_ipv4() || !rustix::net::sockopt::ipv6_v6only(socket)?;
    Ok(if both { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() })
}

/// listen(2): an unbound socket would be bound to every address.
pub(super) fn listen(work: &Work<'_>, socket: i32, backlog: i32) -> Result<Effect, Stop> {
    let socket = work.caller.descriptor(socket)?;
    work.caller.check()?;
    let domain = rustix::net::sockopt::socket_domain(&socket)?;
    if domain != AddressFamily::INET && domain != AddressFamily::INET6 {
        return Ok(Effect::Value(rustix::net::listen(&socket, backlog).map(|()| 0)?));
    }
    let address =
        || -> Result<SocketAddr, Errno> { SocketAddr::try_from(rustix::net::getsockname(&socket)?).map_err(|_| Errno::AFNOSUPPORT) };
    let mut own = address()?;
    if own.port() == 0 {
        call_with(libc::SYS_bind, socket.as_fd(), &on_loopback(&socket, 0)?)?;
        own = address()?;
    }
    if !own.ip().to_canonical().is_loopback() {
        return Err(work.refused(Errno::ACCESS, "net.listen").into());
    }
    rustix::net::listen(&socket, backlog)?;
    work.broker.servers.add(own.port(), rustix::fs::fstat(&socket)?.st_ino);
    Ok(Effect::Value(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_listening_sockets_are_read() {
        let row = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0";
        assert_eq!(listener(row), Some((8080, 4242)));
        assert_eq!(listener(&row.replace(" 0A ", " 01 ")), None);
        assert_eq!(listener("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"), None);
        assert_eq!(listener(""), None);
    }

    #[test]
    fn a_server_is_known_by_its_socket_and_not_by_its_port() {
        let servers = Servers::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!servers.have(port), "nobody said that it is ours");
        servers.add(port, 1);
        assert!(!servers.have(port), "another socket listens there");
        servers.add(port, rustix::fs::fstat(&listener).unwrap().st_ino);
        assert!(servers.have(port));
        drop(listener);
        assert!(!servers.have(port), "nobody listens there any more");
    }

    #[test]
    fn the_loopback_is_written_in_the_family_of_the_socket() {
        for (family, length) in [(AddressFamily::INET, 16), (AddressFamily::INET6, 28)] {
            let Ok(socket) = rustix::net::socket(family, SocketType::STREAM, None) else { continue };
            assert_eq!(on_loopback(&socket, 80).unwrap().len(), length);
            assert!(call_with(libc::SYS_bind, socket.as_fd(), &on_loopback(&socket, 0).unwrap()).is_ok());
        }
    }
}

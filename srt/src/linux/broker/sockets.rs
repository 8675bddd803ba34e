//! connect(2) and bind(2), on a copy of the caller's socket and with a copied address.
//!
//! A connection leaves the sandbox's network namespace only through listeners of the supervisor, so "as asked" is never a way out for IP. For UNIX sockets the file system is
//! the way: what a path leads to is held open, judged, and connected to as that very object.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::SocketType;

use super::super::question::{Answer, Connect};
use super::super::sys::raw;
use super::address::{Address, MAX_LENGTH, is_own, with_port};
use super::judge::{self, Need};
use super::peers;
use super::resolve::{Base, Place};
use super::shared_network;
use super::stop::Stop;
use super::work::{Effect, Work};
use crate::policy::AbsPath;

/// Copies an address as the kernel would.
pub(super) fn copy_address(work: &Work<'_>, address: u64, length: u64) -> Result<Vec<u8>, Errno> {
    // The length is an `int`.
    let length = u64::from(length as u32);
    if length > MAX_LENGTH {
        return Err(Errno::INVAL);
    }
    work.caller.bytes(address, length as usize)
}

/// A call that takes a socket, an address and its length.
pub(super) fn call_with(number: libc::c_long, socket: BorrowedFd<'_>, address: &[u8]) -> Result<i64, Errno> {
    // SAFETY: the address is a buffer of ours of that length.
    unsafe { raw(number, [socket.as_raw_fd() as usize, address.as_ptr() as usize, address.len(), 0, 0, 0]) }
}

/// connect(2).
pub(super) fn connect(work: &Work<'_>, socket: i32, address: u64, length: u64) -> Result<Effect, Stop> {
    let socket = work.caller.descriptor(socket)?;
    let bytes = copy_address(work, address, length)?;
    work.caller.check()?;
    let bytes = match Address::parse(&bytes, false) {
        Address::Path(path) => {
            let object = peers::socket_at(work, &path)?;
            let bytes = peers::address_of(&object);
            return patiently(work, &socket, &bytes);
        }
        Address::Inet(target) => route(work, &socket, bytes, target)?,
        Address::Other => bytes,
    };
    patiently(work, &socket, &bytes)
}

/// A socket that waits is waited for on a thread of its own.
fn patiently(work: &Work<'_>, socket: &OwnedFd, address: &[u8]) -> Result<Effect, Stop> {
    let connect = || call_with(libc::SYS_connect, socket.as_fd(), address);
    let result = if is_nonblocking(socket) { connect() } else { work.while_blocked(connect) };
    Ok(Effect::Value(result?))
}

pub(super) fn is_nonblocking(socket: &OwnedFd) -> bool {
    rustix::fs::fcntl_getfl(socket).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

/// Where a connection to `target` is really made.
fn route(work: &Work<'_>, socket: &OwnedFd, address: Vec<u8>, target: SocketAddr) -> Result<Vec<u8>, Stop> {
    if work.broker.spec.on_host {
        return shared_network::route(work, socket, address, target);
    }
    let for_host = work.broker.spec.host_ports.contains(&target.port());
    if is_own(target.ip()) && !for_host {
        return Ok(address);
    }
    let stream = rustix::net::sockopt::socket_type(socket)? == SocketType::STREAM;
    let nobody_decides = if stream { is_under_way(socket) } else { is_own(target.ip()) || target.port() == DNS };
    if nobody_decides {
        return Ok(address);
    }
    match admission(work, socket, stream, target)? {
        Answer::Proceed => Ok(address),
        Answer::Redirected(port) => Ok(with_port(&address, port)),
        Answer::Refused(errno) => Err(Errno::from_raw_os_error(errno).into()),
    }
}

/// Port of the name service.
pub(super) const DNS: u16 = 53;

/// Asks the supervisor, who knows names. It tells of denials itself.
pub(super) fn admission(work: &Work<'_>, socket: &OwnedFd, stream: bool, target: SocketAddr) -> Result<Answer, Errno> {
    let local_port = if stream { bound_port(socket)? } else { 0 };
    let (call, nonblocking) = (work.caller.notification.number, is_nonblocking(socket));
    work.ask_to_connect(Connect { call, stream, nonblocking, target, local_port })
}

/// A connection is being made or was made already: the kernel's answer does not depend on the address then.
pub(super) fn is_under_way(socket: &OwnedFd) -> bool {
    const CLOSED: u8 = 7;
    tcp_state(socket).is_some_and(|state| state != CLOSED)
}

/// First byte of `struct tcp_info` (tcp(7)).
fn tcp_state(socket: &OwnedFd) -> Option<u8> {
    let (mut state, mut length) = ([0u8; 1], 1u32);
    let arguments = [
        socket.as_raw_fd() as usize,
        libc::IPPROTO_TCP as usize,
        libc::TCP_INFO as usize,
        state.as_mut_ptr() as usize,
        std::ptr::from_mut(&mut length) as usize,
        0,
    ];
    // SAFETY: the buffer is of the length that is passed.
    unsafe { raw(libc::SYS_getsockopt, arguments) }.ok().map(|_| state[0])
}

/// The port by which the listener will know the connection: the socket gets one now, where it has none.
fn bound_port(socket: &OwnedFd) -> Result<u16, Errno> {
    let port = || -> Result<u16, Errno> {
        let address = SocketAddr::try_from(rustix::net::getsockname(socket)?).map_err(|_| Errno::AFNOSUPPORT)?;
        Ok(address.port())
    };
    match port()? {
        0 => {
            bind_anywhere(socket)?;
            port()
        }
        bound => Ok(bound),
    }
}

/// Any address of the socket's own family, any port.
fn bind_anywhere(socket: &OwnedFd) -> Result<(), Errno> {
    let own = SocketAddr::try_from(rustix::net::getsockname(socket)?).map_err(|_| Errno::AFNOSUPPORT)?;
    rustix::net::bind(socket, &SocketAddr::new(own.ip(), 0))
}

/// bind(2). Only a UNIX socket with a path makes a name.
pub(super) fn bind(work: &Work<'_>, socket: i32, address: u64, length: u64) -> Result<Effect, Stop> {
    let socket = work.caller.descriptor(socket)?;
    let bytes = copy_address(work, address, length)?;
    work.caller.check()?;
    // Without a family, an address can mean every IPv4 address of the host (bind(2) on Linux).
    match Address::parse(&bytes, work.broker.spec.on_host) {
        Address::Path(path) => bind_path(work, &socket, &bytes, &path),
        Address::Inet(own) if work.broker.spec.on_host => shared_network::bind(work, &socket, &bytes, own),
        Address::Inet(_) | Address::Other => Ok(Effect::Value(call_with(libc::SYS_bind, socket.as_fd(), &bytes)?)),
    }
}

/// The kernel keeps the address as it is written, for getsockname(2) and for answers to datagrams. Where the text leads to the judged place without any link, it is bound by
/// that text; meanwhile nobody inside may change a name. Else, and wherever procfs has a part in it, it is bound by its name alone.
fn bind_path(work: &Work<'_>, socket: &OwnedFd, bytes: &[u8], path: &[u8]) -> Result<Effect, Stop> {
    let policy = work.policy();
    let mut resolver = work.resolver();
    let here = work.caller.working_directory()?;
    let base = if path.first() == Some(&b'/') { work.broker.root() } else { here.as_fd() };
    let place = resolver.place_below(Base::Held(base), path)?;
    judge::admit(&policy, &place, Need::Free).map_err(in_use)?;
    work.take_umask()?;
    let start = super::resolve::real_path(here.as_fd())?;
    let (directory, bytes) = if leads_straight(&start, path, &place) {
        (here.as_fd(), bytes.to_vec())
    } else {
        (place.parent.as_fd(), super::address::unix_address(place.name.as_bytes()))
    };
    rustix::process::fchdir(directory)?;
    let result = call_with(libc::SYS_bind, socket.as_fd(), &bytes);
    // Nothing of the caller's is kept in use.
    let _ = rustix::process::fchdir(work.broker.root());
    let result = result.map_err(|errno| judge::explain(&policy, &place, Need::Free, errno))?;
    work.broker.peers.add(place.object()?)?;
    Ok(Effect::Value(result))
}

/// Does a text lead to a place by plain directories only? Then it is the place's real path, component by component.
fn leads_straight(start: &AbsPath, text: &[u8], place: &Place) -> bool {
    let plain = |name: &[u8]| !matches!(name, b"." | b"..");
    let full = if text.first() == Some(&b'/') { text.to_vec() } else { [start.as_bytes(), b"/", text].concat() };
    full.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).all(plain)
        && AbsPath::new(OsStr::from_bytes(&full)).is_some_and(|full| full == place.path)
        && place.path.components().next().is_none_or(|first| first != "proc")
}

/// bind(2) has its own word for a name that is taken.
fn in_use(stop: Stop) -> Stop {
    match stop {
        Stop::Errno(Errno::EXIST) => Errno::ADDRINUSE.into(),
        stop => stop,
    }
}

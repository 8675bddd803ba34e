//! Operations on sockets.

use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::answer::{Answer, Failure, Operation, number, ok};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "connect-tcp", arguments: &["ADDRESS:PORT"], run: |a| ok(TcpStream::connect(&a[0])) },
    Operation { name: "send-udp", arguments: &["ADDRESS:PORT"], run: send_udp },
    Operation { name: "bind-tcp", arguments: &["ADDRESS:PORT"], run: |a| ok(TcpListener::bind(&a[0])) },
    Operation { name: "serve-once", arguments: &["ADDRESS:PORT"], run: serve_once },
    Operation { name: "loopback-pair", arguments: &[], run: loopback_pair },
    Operation { name: "connect-unix", arguments: &["stream|dgram|seqpacket", "PATH|@NAME"], run: connect_unix },
    Operation { name: "receive-unix", arguments: &["PATH|@NAME"], run: receive_unix },
    Operation { name: "sendto-unix", arguments: &["PATH|@NAME"], run: sendto_unix },
    Operation { name: "bind-unix", arguments: &["PATH|@NAME"], run: bind_unix },
    Operation {
        name: "socket",
        arguments: &["FAMILY", "TYPE", "PROTOCOL"],
        run: |a| ok(socket(number(&a[0])?, number(&a[1])?, number(&a[2])?)),
    },
    Operation { name: "socketpair", arguments: &["FAMILY", "TYPE"], run: socketpair },
    Operation { name: "pair-sendto-unix", arguments: &["PATH|@NAME"], run: pair_sendto_unix },
    Operation { name: "interfaces", arguments: &[], run: interfaces },
];

fn send_udp(arguments: &[String]) -> Answer {
    ok(UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| socket.send_to(b"x", &arguments[0])))
}

/// A server and a client of this process on its own loopback.
fn loopback_pair(_: &[String]) -> Answer {
    let server = TcpListener::bind(("127.0.0.1", 0))?;
    ok(TcpStream::connect(server.local_addr()?))
}

/// Says that it listens, and sends everything back to the first client.
fn serve_once(arguments: &[String]) -> Answer {
    let server = TcpListener::bind(&arguments[0])?;
    println!("listening");
    let (mut client, _) = server.accept()?;
    let mut back = client.try_clone()?;
    ok(io::copy(&mut client, &mut back))
}

/// A new socket.
pub(crate) fn socket(family: i64, kind: i64, protocol: i64) -> io::Result<OwnedFd> {
    // SAFETY: three numbers; no memory is involved.
    let fd = unsafe { libc::socket(family as i32, kind as i32, protocol as i32) };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn socketpair(arguments: &[String]) -> Answer {
    let mut pair = [0; 2];
    // SAFETY: `pair` has room for the two descriptors that socketpair(2) writes.
    let value = unsafe { libc::socketpair(number(&arguments[0])? as i32, number(&arguments[1])? as i32, 0, pair.as_mut_ptr()) };
    if value == -1 { Err(io::Error::last_os_error().into()) } else { Ok("ok".into()) }
}

/// A `sockaddr_un` and its length; `@name` is the abstract name.
pub(crate) fn unix_address(text: &str) -> Result<(libc::sockaddr_un, libc::socklen_t), Failure> {
    // SAFETY: all-zero bytes are a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let name: Vec<u8> = match text.strip_prefix('@') {
        Some(name) => [b"\0", name.as_bytes()].concat(),
        None => [text.as_bytes(), b"\0"].concat(),
    };
    if name.len() > address.sun_path.len() {
        return Err(Failure::Errno(libc::ENAMETOOLONG));
    }
    for (to, from) in address.sun_path.iter_mut().zip(&name) {
        *to = *from as libc::c_char;
    }
    Ok((address, (std::mem::size_of::<libc::sa_family_t>() + name.len()) as libc::socklen_t))
}

/// A kind by its name.
pub(crate) fn unix_kind(text: &str) -> Result<i64, Failure> {
    match text {
        "stream" => Ok(libc::SOCK_STREAM.into()),
        "dgram" => Ok(libc::SOCK_DGRAM.into()),
        "seqpacket" => Ok(libc::SOCK_SEQPACKET.into()),
        other => Err(Failure::Usage(format!("no socket kind {other}"))),
    }
}

fn checked(value: i64) -> Answer {
    if value == -1 { Err(io::Error::last_os_error().into()) } else { Ok("ok".into()) }
}

fn connect_unix(arguments: &[String]) -> Answer {
    let socket = socket(libc::AF_UNIX.into(), unix_kind(&arguments[0])?, 0)?;
    let (address, length) = unix_address(&arguments[1])?;
    // SAFETY: `address` is a sockaddr_un of at least `length` bytes and lives through the call.
    checked(unsafe { libc::connect(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), length) }.into())
}

/// The first packet that a server sends; `end` where it sends none.
fn receive_unix(arguments: &[String]) -> Answer {
    let socket = socket(libc::AF_UNIX.into(), libc::SOCK_SEQPACKET.into(), 0)?;
    let (address, length) = unix_address(&arguments[0])?;
    // SAFETY: as in `connect_unix`.
    checked(unsafe { libc::connect(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), length) }.into())?;
    let mut packet = vec![0; 64 << 10];
    // SAFETY: the buffer has as many writable bytes as are asked for, and lives through the call.
    let count = unsafe { libc::recv(socket.as_raw_fd(), packet.as_mut_ptr().cast(), packet.len(), 0) };
    match usize::try_from(count) {
        Ok(0) => Ok("end".into()),
        Ok(count) => Ok(String::from_utf8_lossy(&packet[..count]).into_owned()),
        // The server may have gone without reading that we came.
        Err(_) => Err(io::Error::last_os_error().into()),
    }
}

fn sendto_unix(arguments: &[String]) -> Answer {
    let socket = socket(libc::AF_UNIX.into(), libc::SOCK_DGRAM.into(), 0)?;
    let (address, length) = unix_address(&arguments[0])?;
    // SAFETY: one readable byte is sent, to an address of at least `length` bytes; both live through the call.
    checked(unsafe { libc::sendto(socket.as_raw_fd(), b"x".as_ptr().cast(), 1, 0, std::ptr::from_ref(&address).cast(), length) } as i64)
}

/// A datagram socket of a pair can be aimed at any address, although no socket(2) was called.
fn pair_sendto_unix(arguments: &[String]) -> Answer {
    let mut pair = [0; 2];
    // SAFETY: `pair` has room for the two descriptors that socketpair(2) writes.
    if unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr()) } == -1 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: all-zero bytes are a valid sockaddr with family AF_UNSPEC, which ends the connection to the other end.
    let nobody: libc::sockaddr = unsafe { std::mem::zeroed() };
    // SAFETY: the address lives through the call and has the length that is passed; an error does not matter here.
    unsafe { libc::connect(pair[0], &raw const nobody, std::mem::size_of::<libc::sockaddr>() as libc::socklen_t) };
    let (address, length) = unix_address(&arguments[0])?;
    // SAFETY: as in `sendto_unix`.
    checked(unsafe { libc::sendto(pair[0], b"x".as_ptr().cast(), 1, 0, std::ptr::from_ref(&address).cast(), length) } as i64)
}

fn bind_unix(arguments: &[String]) -> Answer {
    let socket = socket(libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0)?;
    let (address, length) = unix_address(&arguments[0])?;
    // SAFETY: as in `connect_unix`.
    checked(unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), length) }.into())
}

/// Names from the kernel's own list: `lo`, and whatever else there is.
fn interfaces(_: &[String]) -> Answer {
    let table = std::fs::read_to_string("/proc/net/dev")?;
    let mut names: Vec<_> = table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
    names.sort_unstable();
    Ok(names.join(" "))
}

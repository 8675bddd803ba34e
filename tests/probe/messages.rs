//! Messages to UNIX sockets: every call that carries an address, made raw on a layout of our own.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::answer::{Answer, Failure, Operation, ok};
use crate::kernel::raw;
use crate::sockets::{socket, unix_address, unix_kind};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "send-unix", arguments: &["CALL", "PATH|@NAME"], run: send },
    Operation { name: "serve-unix", arguments: &["stream|dgram|seqpacket", "PATH"], run: serve },
    Operation { name: "own-server", arguments: &["stream|dgram|seqpacket", "PATH", "PATH"], run: own_server },
    Operation { name: "send-calls", arguments: &[], run: |_| Ok(CALLS.join(" ")) },
];

/// Calls that may carry an address.
pub(crate) const CALLS: &[&str] = &["connect", "sendto", "sendmsg", "sendmmsg"];

/// A socket address in memory, as the kernel reads it.
pub(crate) struct Address {
    bytes: libc::sockaddr_un,
    length: libc::socklen_t,
}

impl Address {
    /// Of a path, or of `@name`.
    pub(crate) fn new(text: &str) -> Result<Self, Failure> {
        let (bytes, length) = unix_address(text)?;
        Ok(Address { bytes, length })
    }

    /// The byte of the path at this place.
    pub(crate) fn path_byte(&mut self, place: usize) -> *mut u8 {
        (&raw mut self.bytes.sun_path[place]).cast()
    }

    /// Where it lies and how long it is.
    pub(crate) fn place(&self) -> (libc::c_long, libc::c_long) {
        (std::ptr::from_ref(&self.bytes) as libc::c_long, self.length.into())
    }
}

/// Aims `call` at an address; the text sent is one byte.
pub(crate) fn aim(call: &str, fd: libc::c_long, (address, length): (libc::c_long, libc::c_long)) -> io::Result<libc::c_long> {
    let byte = b'x';
    let part = libc::iovec { iov_base: std::ptr::from_ref(&byte).cast_mut().cast(), iov_len: 1 };
    let message = header(address, length, &part);
    let many = libc::mmsghdr { msg_hdr: message, msg_len: 0 };
    let (text, flags) = (std::ptr::from_ref(&byte) as libc::c_long, libc::MSG_DONTWAIT.into());
    match call {
        "connect" => raw(libc::SYS_connect, [fd, address, length, 0, 0, 0]),
        "sendto" => raw(libc::SYS_sendto, [fd, text, 1, flags, address, length]),
        "sendmsg" => raw(libc::SYS_sendmsg, [fd, std::ptr::from_ref(&message) as libc::c_long, flags, 0, 0, 0]),
        "sendmmsg" => {
            let mut many = many;
            // The kernel writes the count of sent bytes into the vector.
            raw(libc::SYS_sendmmsg, [fd, std::ptr::from_mut(&mut many) as libc::c_long, 1, flags, 0, 0])
        }
        _ => Err(io::Error::from_raw_os_error(libc::ENOSYS)),
    }
}

/// A message of one part for an address.
pub(crate) fn header(address: libc::c_long, length: libc::c_long, part: &libc::iovec) -> libc::msghdr {
    // SAFETY: all-zero bytes are a valid msghdr without address, parts and control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = address as *mut libc::c_void;
    message.msg_namelen = length as libc::socklen_t;
    message.msg_iov = std::ptr::from_ref(part).cast_mut();
    message.msg_iovlen = 1;
    message
}

fn send(arguments: &[String]) -> Answer {
    let socket = socket(libc::AF_UNIX.into(), libc::SOCK_DGRAM.into(), 0)?;
    ok(aim(&arguments[0], socket.as_raw_fd().into(), Address::new(&arguments[1])?.place()))
}

/// A socket at this path, which listens unless it is for datagrams.
fn bound(kind: &str, path: &str) -> Result<OwnedFd, Failure> {
    let server = socket(libc::AF_UNIX.into(), unix_kind(kind)?, 0)?;
    let address = Address::new(path)?;
    let (place, length) = address.place();
    raw(libc::SYS_bind, [server.as_raw_fd().into(), place, length, 0, 0, 0])?;
    if kind != "dgram" {
        raw(libc::SYS_listen, [server.as_raw_fd().into(), 1000, 0, 0, 0, 0])?;
    }
    Ok(server)
}

/// Prints `reached` for each connection and each datagram, until it is killed.
fn serve(arguments: &[String]) -> Answer {
    let server = bound(&arguments[0], &arguments[1])?;
    println!("ready");
    loop {
        if arguments[0] == "dgram" {
            let mut byte = 0_u8;
            raw(libc::SYS_read, [server.as_raw_fd().into(), std::ptr::from_mut(&mut byte) as libc::c_long, 1, 0, 0, 0])?;
        } else {
            let peer = raw(libc::SYS_accept4, [server.as_raw_fd().into(), 0, 0, 0, 0, 0])?;
            raw(libc::SYS_close, [peer, 0, 0, 0, 0, 0])?;
        }
        println!("reached");
    }
}

/// Binds the first path, then reaches that socket by the second, and gets one byte across.
fn own_server(arguments: &[String]) -> Answer {
    let server = bound(&arguments[0], &arguments[1])?;
    let client = socket(libc::AF_UNIX.into(), unix_kind(&arguments[0])?, 0)?;
    aim("connect", client.as_raw_fd().into(), Address::new(&arguments[2])?.place())?;
    raw(libc::SYS_sendto, [client.as_raw_fd().into(), b"x".as_ptr() as libc::c_long, 1, 0, 0, 0])?;
    ok(receive(&server, arguments[0] != "dgram"))
}

fn receive(server: &OwnedFd, connected: bool) -> io::Result<()> {
    let mut byte = 0_u8;
    let from = if connected { raw(libc::SYS_accept4, [server.as_raw_fd().into(), 0, 0, 0, 0, 0])? } else { server.as_raw_fd().into() };
    raw(libc::SYS_read, [from, std::ptr::from_mut(&mut byte) as libc::c_long, 1, 0, 0, 0])?;
    if byte == b'x' { Ok(()) } else { Err(io::Error::other("another byte arrived")) }
}

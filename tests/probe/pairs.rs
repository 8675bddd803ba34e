//! Pairs of UNIX sockets: they have no address, so no rule is about them.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::answer::{Answer, Failure, Operation, number};
use crate::kernel::raw;
use crate::sockets::unix_kind;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "pair-message", arguments: &["stream|dgram|seqpacket"], run: message },
    Operation { name: "pair-rights", arguments: &["stream|dgram|seqpacket", "PATH"], run: rights },
    Operation { name: "pair-bulk", arguments: &["BYTES"], run: bulk },
];

fn pair(kind: &str) -> Result<[OwnedFd; 2], Failure> {
    let mut pair = [0_i32; 2];
    let kind = unix_kind(kind)? | i64::from(libc::SOCK_CLOEXEC);
    raw(libc::SYS_socketpair, [libc::AF_UNIX.into(), kind, 0, pair.as_mut_ptr() as libc::c_long, 0, 0])?;
    // SAFETY: the kernel just made these descriptors, and nobody else owns them.
    Ok(pair.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// A message without address, with these control bytes.
fn with_message<T>(text: &mut [u8], control: &mut [u64], act: impl FnOnce(&mut libc::msghdr) -> io::Result<T>) -> io::Result<T> {
    let mut part = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    // SAFETY: all-zero bytes are a valid msghdr without address, parts and control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = std::mem::size_of_val(control);
    act(&mut message)
}

fn send(fd: &OwnedFd, text: &mut [u8], control: &mut [u64]) -> io::Result<libc::c_long> {
    with_message(text, control, |message| {
        raw(libc::SYS_sendmsg, [fd.as_raw_fd().into(), std::ptr::from_mut(message) as libc::c_long, 0, 0, 0, 0])
    })
}

fn receive(fd: &OwnedFd, text: &mut [u8], control: &mut [u64]) -> io::Result<libc::c_long> {
    with_message(text, control, |message| {
        raw(libc::SYS_recvmsg, [fd.as_raw_fd().into(), std::ptr::from_mut(message) as libc::c_long, 0, 0, 0, 0])
    })
}

fn message(arguments: &[String]) -> Answer {
    let [one, two] = pair(&arguments[0])?;
    send(&one, &mut b"hello".to_owned(), &mut [])?;
    let mut text = [0; 5];
    receive(&two, &mut text, &mut [])?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Passes an open file across; prints what is read through the descriptor that arrives.
fn rights(arguments: &[String]) -> Answer {
    let [one, two] = pair(&arguments[0])?;
    let file = std::fs::File::open(&arguments[1])?;
    // cmsghdr: length 16 + 4, level, type; then one descriptor. The same layout on every 64-bit architecture.
    let kind = (libc::SCM_RIGHTS as u64) << 32 | libc::SOL_SOCKET as u64;
    send(&one, &mut [b'x'], &mut [20, kind, file.as_raw_fd() as u64])?;
    let mut control = [0; 3];
    receive(&two, &mut [0], &mut control)?;
    if control[..2] != [20, kind] {
        return Err(Failure::Other("no descriptor arrived".into()));
    }
    // SAFETY: the kernel put this descriptor into our table with the message, and nobody else owns it.
    let mut arrived = unsafe { std::fs::File::from_raw_fd(control[2] as u32 as i32) };
    let mut text = String::new();
    arrived.read_to_string(&mut text)?;
    Ok(text)
}

/// Sends through sendmsg(2) in large parts; prints how much arrived unchanged.
fn bulk(arguments: &[String]) -> Answer {
    let total = number(&arguments[0])? as usize;
    let [one, two] = pair("stream")?;
    let sender = std::thread::spawn(move || -> io::Result<()> {
        let mut block: Vec<u8> = (0..=255).cycle().take(256 * 1024).collect();
        let mut sent = 0;
        while sent < total {
            let start = sent % 256;
            let end = (start + 200_000).min(start + total - sent);
            sent += send(&one, &mut block[start..end], &mut [])? as usize;
        }
        UnixStream::from(one).flush()
    });
    let mut received = Vec::new();
    UnixStream::from(two).read_to_end(&mut received)?;
    sender.join().map_err(|_| Failure::Other("the sender panicked".into()))??;
    let unchanged = received.iter().enumerate().all(|(place, byte)| *byte == (place % 256) as u8);
    if !unchanged {
        return Err(Failure::Other("other bytes arrived".into()));
    }
    Ok(received.len().to_string())
}

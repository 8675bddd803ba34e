//! Packets over a UNIX socket that never waits.
//!
//! `SOCK_SEQPACKET`: one message, one packet. See unix(7).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType, UCred,
};

/// Most descriptors in one packet (`SCM_MAX_FD`, unix(7)).
const MAX_DESCRIPTORS: usize = 253;

/// What waits in a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// A packet of so many bytes. One with descriptors is told apart: to drop them may take for ever (see `burial`).
    Packet { bytes: usize, descriptors: bool },
    /// The other side is gone, and so is all that it said.
    End,
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// Connects; never waits.
    pub(super) fn connect(path: &Path) -> Result<Socket, Errno> {
        let socket = new_socket()?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Socket(socket))
    }

    /// A connection that was accepted.
    pub(super) fn accepted(descriptor: OwnedFd) -> Socket {
        Socket(descriptor)
    }

    /// Who is on the other side, as the kernel says: who connected, or who listened.
    pub(super) fn peer(&self) -> Result<UCred, Errno> {
        socket_peercred(&self.0)
    }

    /// Sends a packet, with a descriptor.
    pub(super) fn send(&self, packet: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let Some(descriptor) = descriptor else { return rustix::net::send(&self.0, packet, flags).map(drop) };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor];
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(Errno::NOBUFS);
        }
        rustix::net::sendmsg(&self.0, &[IoSlice::new(packet)], &mut control, flags).map(drop)
    }

    /// Looks at what would be received next, and leaves it there.
    pub(super) fn peek(&self) -> Result<Waiting, Errno> {
        let flags = RecvFlags::PEEK | RecvFlags::TRUNC | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let look = || rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(&mut [0; 1])], &mut RecvAncillaryBuffer::default(), flags);
        let received = past_reset(look)?;
        let descriptors = received.flags.contains(ReturnFlags::CTRUNC);
        // An empty packet is no end, but nobody sends one.
        Ok(if received.bytes == 0 && !descriptors { Waiting::End } else { Waiting::Packet { bytes: received.bytes, descriptors } })
    }

    /// The next packet, without descriptors: where it may have some, look first. 0 bytes at the end. One that does not fit is cut.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        past_reset(|| rustix::net::recv(&self.0, &mut *buffer, RecvFlags::DONTWAIT)).map(|(_, bytes)| bytes)
    }

    /// The next packet with all its descriptors, however many.
    pub(super) fn receive_all(&self, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
        let rights = |message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        };
        Ok((received.bytes, control.drain().filter_map(rights).flatten().collect()))
    }

    /// Nothing more can be sent to us; what was sent stays to be received.
    pub(super) fn shut(&self) {
        // Where the other side is gone it is shut already.
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
    }
}

/// A socket of the kind of this protocol.
pub(super) fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// The other side went without having read everything: said once, and before what it sent itself.
fn past_reset<T>(mut receive: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    match receive() {
        Err(Errno::CONNRESET) => receive(),
        received => received,
    }
}

/// Would it go through later?
pub(super) fn is_full(error: Errno) -> bool {
    // ENOBUFS: the kernel has no memory for it now.
    matches!(error, Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM | Errno::INTR)
}

/// Waits until there is something to receive, but not for ever.
pub(super) fn wait(socket: &Socket, limit: std::time::Duration) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec};
    let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
    Ok(rustix::event::poll(&mut [PollFd::new(&socket.0, PollFlags::IN)], Some(&limit))? > 0)
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Socket, Socket) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Socket(one), Socket(other))
    }

    #[test]
    fn a_look_tells_packets_with_descriptors_from_others_and_takes_nothing() {
        let (one, other) = pair();
        assert_eq!(other.peek(), Err(Errno::AGAIN));
        one.send(b"plain", None).unwrap();
        one.send(b"loaded", Some(one.as_fd())).unwrap();
        for _ in 0..2 {
            assert_eq!(other.peek(), Ok(Waiting::Packet { bytes: 5, descriptors: false }));
        }
        let mut buffer = [0; 16];
        assert_eq!(other.receive(&mut buffer), Ok(5));
        for _ in 0..2 {
            assert_eq!(other.peek(), Ok(Waiting::Packet { bytes: 6, descriptors: true }));
        }
        let (bytes, descriptors) = other.receive_all(&mut buffer).unwrap();
        assert_eq!((&buffer[..bytes], descriptors.len()), (&b"loaded"[..], 1));
        drop((one, descriptors));
        assert_eq!(other.peek(), Ok(Waiting::End));
    }

    #[test]
    fn what_was_said_last_is_heard_of_one_who_did_not_listen() {
        let (one, other) = pair();
        one.send(b"unheard", None).unwrap();
        other.send(b"last words", None).unwrap();
        drop(other);
        assert_eq!(one.peek(), Ok(Waiting::Packet { bytes: 10, descriptors: false }));
        assert_eq!((one.receive(&mut [0; 16]), one.peek()), (Ok(10), Ok(Waiting::End)));
    }

    #[test]
    fn a_socket_that_is_full_says_so_at_once() {
        let (one, _other) = pair();
        let full = (0..100_000).find_map(|_| one.send(&[0; 1000], None).err());
        assert!(full.is_some_and(is_full), "{full:?}");
    }
}

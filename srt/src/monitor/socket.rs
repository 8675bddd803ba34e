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

/// Room for the message that brings one descriptor, and not for two: exactly so much, without what would align a next one.
#[repr(align(8))]
struct RoomForOne([MaybeUninit<u8>; size_of::<libc::cmsghdr>() + size_of::<RawFd>()]);

/// What waits in a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// A packet of so many bytes. One with descriptors is told apart: to drop them may take for ever (see `burial`).
    Packet { bytes: usize, descriptors: bool },
    /// The other side is gone, and so is all that it said.
    End,
}

/// What comes with a packet that waits.
#[derive(Debug)]
pub(super) struct Shown {
    /// A descriptor of what the first one names.
    pub(super) first: Option<OwnedFd>,
    /// There are others, or there was no room for the first.
    pub(super) more: bool,
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

    /// Looks at the descriptor of the packet that would be received next, and leaves the packet there with all that came with it: what is looked at is not closed for good by closing it here.
    pub(super) fn show(&self) -> Result<Shown, Errno> {
        let mut room = RoomForOne([MaybeUninit::uninit(); _]);
        let mut control = RecvAncillaryBuffer::new(&mut room.0);
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(&mut [0; 1])], &mut control, flags)?;
        let rights = |message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        };
        let first = control.drain().filter_map(rights).flatten().next();
        Ok(Shown { first, more: received.flags.contains(ReturnFlags::CTRUNC) })
    }

    /// How many bytes may wait in the kernel for the other side, by our cost.
    pub(super) fn limit_unread(&self, bytes: usize) {
        // The kernel counts what it needs for a packet besides, and doubles the number for that (socket(7)).
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&self.0, bytes / 2);
    }

    /// Is it root's, or this user's own, on the other side? Nobody else is believed to be the service.
    pub(super) fn is_trusted(&self) -> Result<bool, Errno> {
        let listener = self.peer()?.uid;
        Ok(listener.is_root() || listener == rustix::process::getuid())
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
        assert_eq!(other.receive(&mut buffer), Ok(6));
        drop(one);
        assert_eq!(other.peek(), Ok(Waiting::End));
    }

    #[test]
    fn one_descriptor_is_shown_and_of_several_only_the_first_and_none_is_taken() {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage};
        let (one, other) = pair();
        let (first, second) = std::io::pipe().unwrap();
        let inode = |descriptor: BorrowedFd<'_>| rustix::fs::fstat(descriptor).unwrap().st_ino;
        for count in [1, 2, 5] {
            let descriptors = [&[first.as_fd()][..], &vec![second.as_fd(); count - 1]].concat();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
            rustix::net::sendmsg(&one, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
            for _ in 0..2 {
                let shown = other.show().unwrap();
                assert_eq!((shown.first.map(|shown| inode(shown.as_fd())), shown.more), (Some(inode(first.as_fd())), count > 1));
            }
            assert_eq!(other.receive(&mut [0; 8]), Ok(1));
        }
    }

    #[test]
    fn what_waits_unread_is_as_little_as_was_said() {
        let (one, other) = pair();
        one.limit_unread(16 * 1024);
        let sent = (0..10_000).take_while(|_| one.send(&[0; 1000], None).is_ok()).count();
        assert!((4..=16).contains(&sent), "{sent}");
        drop(other);
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

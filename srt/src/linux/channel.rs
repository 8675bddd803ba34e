//! The socket between the supervisor and `init`.
//!
//! `SOCK_SEQPACKET`: one message, one packet. Both ends are ours. `init` runs no code of the command and is not dumpable, so what arrives from it is not what the
//! command says; still the supervisor takes every packet apart with care, and an unknown one ends the run.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::question::{Answer, Matter};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType,
};

/// Longest packet: a path and a few words.
const MAX_PACKET: usize = 8192;

/// Most descriptors in one packet (`SCM_MAX_FD`, unix(7)).
const MAX_DESCRIPTORS: usize = 253;

/// What `init` tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The sockets of the sandbox's network follow as descriptors: the proxy's listener; where the network is transparent, the transparent listener and the
    /// name server's datagram socket and listener; then the sockets for connections from outside.
    Sockets {
        /// The network is transparent.
        transparent: bool,
    },
    /// The sandbox's pid namespace follows as a descriptor (namespaces(7)): whoever reports denials of the kernel knows the sandbox by it.
    Namespace,
    /// The root of the sandbox's file tree follows as a descriptor, for whoever looks up the paths of such denials.
    Root,
    /// The command runs.
    Started,
    /// The command could not be executed: errno of execve(2).
    NotExecuted(i32),
    /// A call of the command is asked about, or told of; the process follows as a descriptor, where it can be had.
    Question {
        /// Names the question in the answer.
        ticket: u64,
        /// What it is about.
        matter: Matter,
    },
    /// More of a denial that was told before.
    Again {
        /// The number under which it was told.
        ticket: u64,
        /// How many more.
        count: u64,
    },
    /// The set-up failed: errno, action, name of the gap that it is.
    Failed(i32, String, Option<String>),
    /// The command was stopped, after this many requests to continue it had been obeyed.
    Stopped(i32),
    /// The command ended with this status; nothing else runs in the sandbox any more.
    Exited(i32),
    /// The command was ended by this signal; likewise.
    Killed(i32),
}

impl Report {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (tag, number, text): (u8, i32, String) = match self {
            Report::Sockets { transparent } => (b'L', i32::from(*transparent), String::new()),
            Report::Namespace => (b'P', 0, String::new()),
            Report::Root => (b'R', 0, String::new()),
            Report::Started => (b'S', 0, String::new()),
            Report::NotExecuted(errno) => (b'N', *errno, String::new()),
            Report::Question { ticket, matter } => {
                let mut packet = vec![b'Q'];
                packet.extend(ticket.to_ne_bytes());
                matter.encode(&mut packet);
                return packet;
            }
            Report::Again { ticket, count } => return [&b"A"[..], &ticket.to_ne_bytes(), &count.to_ne_bytes()].concat(),
            Report::Failed(errno, action, gap) => (b'F', *errno, format!("{}\0{action}", gap.as_deref().unwrap_or(""))),
            Report::Stopped(continued) => (b'T', *continued, String::new()),
            Report::Exited(status) => (b'E', *status, String::new()),
            Report::Killed(signal) => (b'K', *signal, String::new()),
        };
        let mut packet = vec![tag];
        packet.extend(number.to_ne_bytes());
        packet.extend(text.bytes().take(MAX_PACKET - packet.len()));
        packet
    }

    pub(super) fn decode(packet: &[u8]) -> Option<Report> {
        let (tag, rest) = packet.split_first()?;
        if *tag == b'Q' {
            let (ticket, matter) = rest.split_first_chunk()?;
            return Some(Report::Question { ticket: u64::from_ne_bytes(*ticket), matter: Matter::decode(matter)? });
        }
        if *tag == b'A' {
            let (ticket, count) = rest.split_first_chunk()?;
            let count = u64::from_ne_bytes(count.try_into().ok()?);
            return Some(Report::Again { ticket: u64::from_ne_bytes(*ticket), count });
        }
        let (number, text) = rest.split_first_chunk()?;
        let number = i32::from_ne_bytes(*number);
        Some(match tag {
            b'L' => Report::Sockets { transparent: number != 0 },
            b'P' => Report::Namespace,
            b'R' => Report::Root,
            b'S' => Report::Started,
            b'N' => Report::NotExecuted(number),
            b'F' => {
                let text = String::from_utf8_lossy(text);
                let (gap, action) = text.split_once('\0')?;
                Report::Failed(number, action.to_owned(), (!gap.is_empty()).then(|| gap.to_owned()))
            }
            b'T' => Report::Stopped(number),
            b'E' => Report::Exited(number),
            b'K' => Report::Killed(number),
            _ => return None,
        })
    }
}

/// What the supervisor tells `init`.
#[derive(Debug)]
pub(super) enum Order {
    /// Send this signal to the command.
    Signal(i32),
    /// The answer to a question.
    Answer(u64, Answer),
    /// Other rules on files, as `FsPolicy::to_bytes` writes them, in a file of memory.
    Files(OwnedFd),
}

impl Order {
    fn decode(packet: &[u8], descriptor: Option<OwnedFd>) -> Option<Order> {
        let (tag, rest) = packet.split_first()?;
        Some(match tag {
            b's' => Order::Signal(i32::from_ne_bytes(rest.try_into().ok()?)),
            b'a' => {
                let (ticket, answer) = rest.split_first_chunk()?;
                Order::Answer(u64::from_ne_bytes(*ticket), Answer::decode(answer)?)
            }
            b'f' => Order::Files(descriptor?),
            _ => return None,
        })
    }
}

/// One end of the channel.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Two connected ends.
    pub(super) fn pair() -> Result<(Channel, Channel), Errno> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Channel(one), Channel(other)))
    }

    /// Sends a report, with the descriptors that belong to it.
    pub(super) fn report(&self, report: &Report, descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        self.send(&report.encode(), descriptors)
    }

    fn send(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Errno::NOBUFS);
        }
        rustix::net::sendmsg(&self.0, &[IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next report; `None` when `init` is gone, or sent what it never sends.
    ///
    /// # Errors
    /// `EAGAIN` on a non-blocking channel.
    pub fn receive(&self) -> Result<Option<(Report, Vec<OwnedFd>)>, Errno> {
        let mut packet = [0; MAX_PACKET];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(&mut packet)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let rights = |message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        };
        let descriptors = control.drain().filter_map(rights).flatten().collect();
        Ok(Report::decode(&packet[..received.bytes]).map(|report| (report, descriptors)))
    }

    /// Asks `init` to send this signal to the command.
    ///
    /// # Errors
    /// `EPIPE` when `init` is gone.
    pub fn forward(&self, signal: i32) -> Result<(), Errno> {
        self.order(&[b"s", &signal.to_ne_bytes()[..]].concat(), None)
    }

    /// Answers a question.
    ///
    /// # Errors
    /// `EPIPE` when `init` is gone.
    pub fn answer(&self, ticket: u64, answer: Answer) -> Result<(), Errno> {
        self.order(&[b"a", &ticket.to_ne_bytes()[..], &answer.encode()].concat(), None)
    }

    /// Puts other rules on files in force.
    ///
    /// # Errors
    /// `EPIPE` when `init` is gone.
    pub fn replace_files(&self, rules: BorrowedFd<'_>) -> Result<(), Errno> {
        self.order(b"f", Some(rules))
    }

    fn order(&self, packet: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        self.send(packet, descriptor.as_slice())
    }

    /// The next order; `None` when the supervisor is gone.
    pub(super) fn next_order(&self) -> Result<Option<Order>, Errno> {
        let mut packet = [0; 64];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(&mut packet)], &mut control, flags)?;
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok(Order::decode(&packet[..received.bytes], descriptor))
    }

    /// Gives the descriptor away, for an event loop.
    pub fn set_nonblocking(&self) -> Result<(), Errno> {
        rustix::io::ioctl_fionbio(&self.0, true)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for Channel {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_survive_the_way() {
        for report in [
            Report::Sockets { transparent: false },
            Report::Sockets { transparent: true },
            Report::Namespace,
            Report::Root,
            Report::Started,
            Report::Again { ticket: 7, count: u64::MAX },
            Report::NotExecuted(2),
            Report::Failed(1, "mount /x y".to_owned(), None),
            Report::Failed(13, "mount a new /proc".to_owned(), Some("new-proc".to_owned())),
            Report::Stopped(20),
            Report::Exited(255),
            Report::Killed(9),
        ] {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
    }

    #[test]
    fn many_descriptors_come_with_one_report() {
        let (one, other) = Channel::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let report = Report::Sockets { transparent: true };
        one.report(&report, &vec![file.as_fd(); MAX_DESCRIPTORS]).unwrap();
        let (received, descriptors) = other.receive().unwrap().unwrap();
        assert_eq!((received, descriptors.len()), (report.clone(), MAX_DESCRIPTORS));
        assert!(one.report(&report, &vec![file.as_fd(); MAX_DESCRIPTORS + 2]).is_err());
    }

    #[test]
    fn packets_that_nobody_sends_are_not_understood() {
        for packet in [&b""[..], b"L", b"E123", b"Z\0\0\0\0", b"F\0\0\0\0no separator"] {
            assert_eq!(Report::decode(packet), None);
        }
    }
}

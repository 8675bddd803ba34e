//! Closing what strangers sent.
//!
//! close(2) may take as long as it likes: for a TCP socket with SO_LINGER and data that nobody takes, for a file of a FUSE server that does not answer. Whoever can send a descriptor
//! could stop the service with it, also by a packet that is never received, for the last reference is given up when the socket is closed. So nothing that a client sent is closed by the loop,
//! but what is known to be a namespace: it goes to a thread, one for each user who ever needs it. A user's own closings wait for each other; they keep his places taken meanwhile.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{SendError, Sender, channel};

use super::admission::Slot;
use super::socket::{Socket, Waiting};

/// What is left of a connection.
#[derive(Debug)]
pub(super) struct Remains {
    /// The socket, with what it may still hold.
    pub(super) socket: Option<Socket>,
    /// Descriptors that came.
    pub(super) descriptors: Vec<OwnedFd>,
    /// The user's place, taken until all is closed.
    #[expect(dead_code, reason = "held until the rest is closed, and given back by being dropped")]
    pub(super) slot: Option<Slot>,
}

/// The threads.
#[derive(Debug, Default)]
pub(super) struct Burial {
    by_user: RefCell<HashMap<u32, Sender<Remains>>>,
}

impl Burial {
    /// Closes a connection: at once where nothing of it can hold us up.
    pub(super) fn close(&self, uid: u32, mut remains: Remains) {
        if let Some(socket) = &remains.socket {
            // From here on nothing can be added.
            socket.shut();
            if is_empty(socket) {
                remains.socket = None;
            }
        }
        if remains.socket.is_some() || !remains.descriptors.is_empty() {
            self.bury(uid, remains);
        }
    }

    fn bury(&self, uid: u32, remains: Remains) {
        let mut by_user = self.by_user.borrow_mut();
        let sent = match by_user.entry(uid) {
            Entry::Occupied(sender) => sender.get().send(remains),
            Entry::Vacant(place) => match gravedigger() {
                Ok(sender) => place.insert(sender).send(remains),
                Err(_) => Err(SendError(remains)),
            },
        };
        if let Err(SendError(remains)) = sent {
            // No thread can be had. To keep a descriptor open is the lesser evil: the loop goes on.
            std::mem::forget(remains);
        }
    }
}

/// A thread that closes what it is sent.
fn gravedigger() -> std::io::Result<Sender<Remains>> {
    let (sender, receiver) = channel::<Remains>();
    let work = move || receiver.into_iter().for_each(drop);
    std::thread::Builder::new().name("close".to_owned()).stack_size(64 * 1024).spawn(work)?;
    Ok(sender)
}

/// Takes what is there as long as it is plain bytes. True where nothing is left.
fn is_empty(socket: &Socket) -> bool {
    loop {
        match socket.peek() {
            Ok(Waiting::Packet { descriptors: false, .. }) if socket.receive(&mut [0; 1]).is_ok() => {}
            Ok(Waiting::End) => return true,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::time::{Duration, Instant};

    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    use super::super::admission::{Admission, Role};
    use super::*;

    /// A TCP socket whose last close waits a minute: nobody reads what it has to send.
    fn lingering() -> (OwnedFd, std::net::TcpListener) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        while stream.write(&[0; 65536]).is_ok() {}
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::from_secs(60))).unwrap();
        (stream.into(), listener)
    }

    fn pair() -> (Socket, Socket) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Socket::accepted(one), Socket::accepted(other))
    }

    #[test]
    fn a_descriptor_that_takes_long_to_close_holds_nobody_up() {
        let (ours, theirs) = pair();
        let (trap, _listener) = lingering();
        theirs.send(b"x", Some(trap.as_fd())).unwrap();
        drop(trap);
        let start = Instant::now();
        let admission = Admission::new(1000);
        let slot = admission.admit(1, Role::Connection);
        let burial = Burial::default();
        burial.close(1, Remains { socket: Some(ours), descriptors: Vec::new(), slot });
        burial.close(2, Remains { socket: Some(theirs), descriptors: Vec::new(), slot: None });
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn what_is_plain_is_closed_at_once() {
        let (ours, theirs) = pair();
        for _ in 0..5 {
            theirs.send(b"plain", None).unwrap();
        }
        let burial = Burial::default();
        burial.close(1, Remains { socket: Some(ours), descriptors: Vec::new(), slot: None });
        assert!(burial.by_user.borrow().is_empty(), "no thread was needed");
        assert_eq!(theirs.peek(), Ok(Waiting::End));
    }
}

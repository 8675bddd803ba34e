//! What waits for one client.
//!
//! The socket's own buffer comes first, then a queue of bounded size. What does not fit is counted, and the count is told in its place, so that a client knows where something is missing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::socket::{Socket, is_full};

/// Beyond the limit, for packets that tell about the others.
const SHORT: usize = 1024;

/// The queue of one client.
#[derive(Debug)]
pub(super) struct Outbox {
    socket: Rc<AsyncFd<Socket>>,
    queue: RefCell<VecDeque<Box<[u8]>>>,
    bytes: Cell<usize>,
    limit: usize,
    missed: Cell<u64>,
    /// How the client is told of what it missed.
    say_missed: fn(u64) -> Vec<u8>,
    gone: Cell<bool>,
    more: Notify,
    empty: Notify,
}

impl Outbox {
    /// For at most `limit` bytes, or one packet.
    pub(super) fn new(socket: Rc<AsyncFd<Socket>>, limit: usize, say_missed: fn(u64) -> Vec<u8>) -> Outbox {
        let (queue, more, empty) = (RefCell::default(), Notify::new(), Notify::new());
        Outbox { socket, queue, bytes: Cell::new(0), limit, missed: Cell::new(0), say_missed, gone: Cell::new(false), more, empty }
    }

    /// Sends a packet, now or as soon as the client takes it; never waits. Where there is no room it is counted.
    pub(super) fn push(&self, packet: &[u8]) {
        self.push_missed();
        if self.missed.get() > 0 || !self.add(packet, 0) {
            self.count_missed(1);
        }
    }

    /// Sends a short packet after what was missed before it, also where others have no room any more. `false`: not even that.
    pub(super) fn push_short(&self, packet: &[u8]) -> bool {
        self.push_missed_within(SHORT);
        self.missed.get() == 0 && self.add(packet, SHORT)
    }

    /// Counts what got lost elsewhere.
    pub(super) fn count_missed(&self, count: u64) {
        self.missed.set(self.missed.get().saturating_add(count));
    }

    /// Tells what was missed, where there is room for it now.
    pub(super) fn push_missed(&self) {
        self.push_missed_within(0);
    }

    fn push_missed_within(&self, beyond: usize) {
        let missed = self.missed.get();
        if missed > 0 && self.add(&(self.say_missed)(missed), beyond) {
            self.missed.set(0);
        }
    }

    /// Waits until the client has been sent everything.
    pub(super) async fn emptied(&self) {
        while !self.queue.borrow().is_empty() && !self.gone.get() {
            self.empty.notified().await;
        }
    }

    /// Sends what waits as the client takes it; ends when the client is gone.
    pub(super) async fn pump(&self) {
        while !self.gone.get() {
            if self.queue.borrow().is_empty() {
                self.push_missed();
                self.empty.notify_one();
                self.more.notified().await;
                continue;
            }
            let Ok(mut ready) = self.socket.writable().await else { return };
            match self.send_front() {
                Ok(()) => {}
                Err(error) if is_full(error) => ready.clear_ready(),
                Err(_) => self.give_up(),
            }
        }
    }

    fn send_front(&self) -> Result<(), Errno> {
        let mut queue = self.queue.borrow_mut();
        let Some(front) = queue.front() else { return Ok(()) };
        self.socket.get_ref().send(front, None)?;
        let sent = front.len();
        self.bytes.set(self.bytes.get() - sent);
        queue.pop_front();
        if queue.is_empty() && queue.capacity() > 64 {
            queue.shrink_to(16);
        }
        Ok(())
    }

    /// False where there is no room.
    fn add(&self, packet: &[u8], beyond: usize) -> bool {
        if self.gone.get() {
            return true;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            match self.socket.get_ref().send(packet, None) {
                Ok(()) => return true,
                Err(error) if is_full(error) => {}
                Err(_) => {
                    drop(queue);
                    self.give_up();
                    return true;
                }
            }
        } else if self.bytes.get() + packet.len() > self.limit + beyond {
            return false;
        }
        self.bytes.set(self.bytes.get() + packet.len());
        queue.push_back(packet.into());
        self.more.notify_one();
        true
    }

    /// The client is gone: its end is read by whoever reads from it.
    fn give_up(&self) {
        self.gone.set(true);
        self.queue.borrow_mut().clear();
        self.bytes.set(0);
        self.more.notify_one();
        self.empty.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    use super::super::wire::Answer;
    use super::*;

    fn pair(limit: usize) -> (Rc<Outbox>, Socket) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        // SAFETY: the socket owns its descriptor and always names the same.
        let one = unsafe {
            AsyncFd::register_with_interest(Socket::accepted(one), tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE)
        }
        .unwrap();
        (Rc::new(Outbox::new(Rc::new(one), limit, |count| Answer::Lost(count).encode())), Socket::accepted(other))
    }

    /// Reads all packets that come within a moment: how many were plain, and how many are said to be missing.
    async fn drain(reader: &Socket, plain: &mut u64, missed: &mut u64) {
        let mut buffer = [0; 2000];
        for _ in 0..50 {
            tokio::task::yield_now().await;
            while let Ok(length) = reader.receive(&mut buffer) {
                match Answer::decode(&buffer[..length]) {
                    Some(Answer::Lost(count)) => *missed += count,
                    _ => *plain += 1,
                }
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_client_that_does_not_read_costs_a_bounded_queue_and_learns_what_it_missed() {
        tokio::task::LocalSet::new()
            .run_until(async {
                let (outbox, reader) = pair(10_000);
                let pumped = outbox.clone();
                tokio::task::spawn_local(async move { pumped.pump().await });
                let (mut plain, mut missed) = (0, 0);
                for round in 1..=3u64 {
                    for _ in 0..2000 {
                        outbox.push(&[0; 500]);
                    }
                    assert!(outbox.bytes.get() <= 10_000 && outbox.missed.get() > 0);
                    assert!(outbox.push_short(b"short"), "there is room for a word about it");
                    assert_eq!(outbox.missed.get(), 0, "and for what was missed before it");
                    drain(&reader, &mut plain, &mut missed).await;
                    assert_eq!(plain - round + missed, round * 2000);
                }
                drop(reader);
                outbox.push(b"x");
                assert!(outbox.gone.get() && outbox.queue.borrow().is_empty());
            })
            .await;
    }
}

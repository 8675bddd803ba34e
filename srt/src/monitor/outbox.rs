//! What waits for one client.
//!
//! The socket's own buffer comes first, then a queue of bounded size; all queues of all users are bounded together too. What does not fit is counted, and the count is told in its place, so that
//! a client knows where something is missing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::share::{Pool, Share, Short};
use super::socket::{Socket, is_full};

/// Beyond the limit, for packets that tell about the others.
const SHORT: usize = 1024;
/// Packets so short are not counted as memory of all: they tell of the others.
const UNCOUNTED: usize = 64;

/// A packet, and its share of the memory of all where it has one.
type Waiting = (Box<[u8]>, Option<Share>);

/// The queue of one client.
#[derive(Debug)]
pub(super) struct Outbox {
    socket: Rc<AsyncFd<Socket>>,
    queue: RefCell<VecDeque<Waiting>>,
    bytes: Cell<usize>,
    limit: usize,
    /// What all queues draw on, and whose this one is.
    memory: (Pool, u32),
    missed: Cell<u64>,
    /// How the client is told of what it missed.
    say_missed: fn(u64) -> Vec<u8>,
    gone: Cell<bool>,
    more: Notify,
    empty: Notify,
}

impl Outbox {
    /// For at most `limit` bytes, or one packet.
    pub(super) fn new(socket: Rc<AsyncFd<Socket>>, limit: usize, memory: (Pool, u32), say_missed: fn(u64) -> Vec<u8>) -> Outbox {
        let (queue, more, empty) = (RefCell::default(), Notify::new(), Notify::new());
        Outbox { socket, queue, bytes: Cell::new(0), limit, memory, missed: Cell::new(0), say_missed, gone: Cell::new(false), more, empty }
    }

    /// Sends a packet, now or as soon as the client takes it; never waits. Where there is no room it is counted.
    pub(super) fn push(&self, packet: &[u8]) {
        self.push_missed();
        if self.missed.get() > 0 || !self.add(packet, 0) {
            self.count_missed(1);
            // Also where nothing waits, because others have all the memory: it is to be told as soon as it can be.
            self.more.notify_one();
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
        let Some((front, _)) = queue.front() else { return Ok(()) };
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
        let Ok(share) = self.share(packet.len()) else { return false };
        self.bytes.set(self.bytes.get() + packet.len());
        queue.push_back((packet.into(), share));
        self.more.notify_one();
        true
    }

    fn share(&self, bytes: usize) -> Result<Option<Share>, Short> {
        let (pool, uid) = &self.memory;
        if *uid == 0 || bytes <= UNCOUNTED { Ok(None) } else { pool.share(*uid, bytes).map(Some) }
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
        of_pool(limit, &Pool::new(1 << 20, 1 << 20), 1)
    }

    fn of_pool(limit: usize, pool: &Pool, uid: u32) -> (Rc<Outbox>, Socket) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        // SAFETY: the socket owns its descriptor and always names the same.
        let one = unsafe {
            AsyncFd::register_with_interest(Socket::accepted(one), tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE)
        }
        .unwrap();
        (Rc::new(Outbox::new(Rc::new(one), limit, (pool.clone(), uid), |count| Answer::Lost(count).encode())), Socket::accepted(other))
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

    #[tokio::test(flavor = "current_thread")]
    async fn many_clients_of_one_user_cost_a_bounded_amount_together_and_each_learns_what_it_missed() {
        tokio::task::LocalSet::new()
            .run_until(async {
                let pool = Pool::new(100_000, 20_000);
                let all: Vec<(Rc<Outbox>, Socket)> = (0..20).map(|_| of_pool(10_000, &pool, 1)).collect();
                let (other, _listens) = of_pool(10_000, &pool, 2);
                for (outbox, _) in &all {
                    let pumped = outbox.clone();
                    tokio::task::spawn_local(async move { pumped.pump().await });
                    for _ in 0..1000 {
                        outbox.push(&[0; 500]);
                    }
                }
                assert!(pool.taken() <= 20_000, "{}", pool.taken());
                for _ in 0..1000 {
                    other.push(&[0; 500]);
                }
                assert!(other.bytes.get() > 9000, "another user has what is his");
                let (mut plain, mut missed) = (0, 0);
                for (_, reader) in &all {
                    drain(reader, &mut plain, &mut missed).await;
                }
                assert_eq!(plain + missed, 20 * 1000, "{missed} were missed");
                assert!(missed > 0);
            })
            .await;
    }
}

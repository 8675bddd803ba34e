//! Closing what strangers sent.
//!
//! To give up the last reference to a file may take as long as it likes: for a TCP socket with SO_LINGER and data that nobody takes, an hour. It is given up also with a packet that is never
//! received, when the socket is closed that it waits in. So a socket in which descriptors wait is not closed by the loop, nor by any thread that goes on: a thread takes a copy of the table of
//! descriptors, the loop closes its own, and the thread ends. What an ending task closes does not linger (inet_release in the kernel: PF_EXITING), and files of FUSE that were never
//! received are not flushed.
//!
//! See unshare(2), CLONE_FILES; close_range(2), CLOSE_RANGE_UNSHARE.

use std::cell::RefCell;
use std::time::Duration;

use rustix::thread::UnshareFlags;
use tokio::sync::{Notify, oneshot};

use super::socket::{Socket, Waiting};

/// Threads of the service, beyond which none is started to close something.
const THREADS: usize = 128;
/// How long sockets are gathered, to be closed together.
const GATHER: Duration = Duration::from_millis(5);
/// When it is tried again where there was no thread.
const AGAIN: Duration = Duration::from_secs(1);

/// Sockets that are to be closed.
#[derive(Debug, Default)]
pub(super) struct Burial {
    waiting: RefCell<Vec<Socket>>,
    more: Notify,
}

impl Burial {
    /// Closes a connection: at once where nothing of it can hold us up.
    pub(super) fn close(&self, socket: Socket) {
        // From here on nothing can be added.
        socket.shut();
        if !is_empty(&socket) {
            self.waiting.borrow_mut().push(socket);
            self.more.notify_one();
        }
    }

    /// Does the work; never ends.
    pub(super) async fn work(&self) {
        loop {
            while self.waiting.borrow().is_empty() {
                self.more.notified().await;
            }
            tokio::time::sleep(GATHER).await;
            let sockets = self.waiting.take();
            if let Err(sockets) = bury(sockets).await {
                tracing::warn!("monitor: {} connections cannot be closed now", sockets.len());
                self.waiting.borrow_mut().extend(sockets);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Closes sockets by the end of a thread. They are given back where there can be none.
async fn bury(sockets: Vec<Socket>) -> Result<(), Vec<Socket>> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let (has_copy, copied) = oneshot::channel();
    let (closed, are_closed) = std::sync::mpsc::channel::<()>();
    let work = move || {
        if WAYS.iter().any(|copy_table| copy_table()) && has_copy.send(()).is_ok() {
            // Ends when the other side is dropped: nothing is ever sent.
            let _ = are_closed.recv();
        }
    };
    let thread = std::thread::Builder::new().name("close".to_owned()).stack_size(64 * 1024);
    if threads > THREADS || thread.spawn(work).is_err() || copied.await.is_err() {
        return Err(sockets);
    }
    drop(sockets);
    drop(closed);
    Ok(())
}

/// Ways to a table of descriptors of this thread's own, with copies of all; true where it has one. Container runtimes refuse the first one, kernels before 5.9 do not know the second.
const WAYS: [fn() -> bool; 2] = [unshare, close_nothing];

fn unshare() -> bool {
    // SAFETY: the thread that asks uses no descriptor by its number afterwards, so it does not matter to it which table they are in.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FILES) }.is_ok()
}

fn close_nothing() -> bool {
    // Beyond all descriptors that there can be (fs.nr_open).
    const NONE: libc::c_uint = 0x7fff_ffff;
    // SAFETY: takes three numbers, and closes nothing; otherwise as above.
    unsafe { libc::syscall(libc::SYS_close_range, NONE, NONE, libc::CLOSE_RANGE_UNSHARE) == 0 }
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
    use std::os::fd::{AsFd as _, OwnedFd};
    use std::time::Instant;

    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    use super::*;

    /// A TCP socket whose last close waits a minute: nobody reads what it has to send.
    fn lingering() -> (OwnedFd, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        while stream.write(&[0; 65536]).is_ok() {}
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::from_secs(60))).unwrap();
        (stream.into(), listener.accept().unwrap().0)
    }

    fn pair() -> (Socket, Socket) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Socket::accepted(one), Socket::accepted(other))
    }

    #[tokio::test]
    async fn descriptors_that_take_long_to_close_hold_nobody_up_and_are_closed() {
        let start = Instant::now();
        let burial = Burial::default();
        let mut peers = Vec::new();
        for _ in 0..3 {
            let (ours, theirs) = pair();
            let (trap, peer) = lingering();
            theirs.send(b"x", Some(trap.as_fd())).unwrap();
            drop(trap);
            burial.close(ours);
            peers.push((peer, theirs));
        }
        assert_eq!(burial.waiting.borrow().len(), 3);
        bury(burial.waiting.take()).await.unwrap();
        // The other side reads up to the end: it was closed, though nobody had read.
        for (mut peer, _theirs) in peers {
            peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            std::io::copy(&mut peer, &mut std::io::sink()).expect("the end is there");
        }
        assert!(start.elapsed() < Duration::from_secs(30), "each would take a minute");
    }

    #[test]
    fn each_way_gives_a_thread_copies_of_all_descriptors() {
        for copy_table in WAYS {
            let (ours, theirs) = pair();
            let (copied, is_copied) = std::sync::mpsc::channel();
            let (end, may_end) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::spawn(move || {
                copied.send(copy_table()).unwrap();
                let _ = may_end.recv();
            });
            assert!(is_copied.recv().unwrap());
            drop(ours);
            assert_eq!(theirs.peek(), Err(rustix::io::Errno::AGAIN), "it is open yet");
            drop(end);
            thread.join().unwrap();
            assert!(super::super::socket::wait(&theirs, Duration::from_secs(20)).unwrap());
            assert_eq!(theirs.peek(), Ok(Waiting::End), "and closed with the thread");
        }
    }

    #[test]
    fn what_is_plain_is_closed_at_once() {
        let (ours, theirs) = pair();
        for _ in 0..5 {
            theirs.send(b"plain", None).unwrap();
        }
        let burial = Burial::default();
        burial.close(ours);
        assert!(burial.waiting.borrow().is_empty(), "no thread was needed");
        assert_eq!(theirs.peek(), Ok(Waiting::End));
    }
}

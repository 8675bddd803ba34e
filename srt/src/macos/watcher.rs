//! The process that outlives srt.
//!
//! macOS ends no process with its parent. The watcher is forked before the command, stays in the process group of srt, and holds one end of a socket whose other end
//! only srt has: when that closes, however srt ended, it kills every process of the run, and ends. That is how a run ends in any case, so there is one way of it.
//! (kqueue(2) tells of the end of a process too, but only of one that is still there when it is asked.)
//!
//! It also tells srt of each signal that it gets: see [`witness`](super::witness).
//!
//! It is outside the sandbox, so the command can neither signal it nor reach its socket.

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid};
use rustix::event::{PollFd, PollFlags};

use super::signals::{self, Signals};
use super::{Os, Tree, descriptors, tree};
use crate::Fault;

/// How long the end of a run waits for the watcher, which bounds its own work.
const PATIENCE: Duration = Duration::from_secs(10);

/// What srt tells the watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The command has this id.
    Command(i32),
    /// It has ended, and its id may be another's.
    NoCommand,
    /// The program that tells of denials has this id. It is no part of the sandbox, and ends with srt too.
    Reporter(i32),
    /// It has ended, and its id may be another's.
    NoReporter,
}

/// An order takes a letter and a number.
const ORDER: usize = 5;

impl Order {
    fn to_bytes(self) -> [u8; ORDER] {
        let (letter, number) = match self {
            Order::Command(id) => (b'c', id),
            Order::Reporter(id) => (b'r', id),
            Order::NoReporter => (b'n', 0),
            Order::NoCommand => (b'e', 0),
        };
        let [a, b, c, d] = number.to_ne_bytes();
        [letter, a, b, c, d]
    }

    fn of_bytes(bytes: [u8; ORDER]) -> Option<Order> {
        let [letter, number @ ..] = bytes;
        let number = i32::from_ne_bytes(number);
        match letter {
            b'c' => Some(Order::Command(number)),
            b'r' => Some(Order::Reporter(number)),
            b'n' => Some(Order::NoReporter),
            b'e' => Some(Order::NoCommand),
            _ => None,
        }
    }
}

/// The watcher as srt has it. Dropping it ends every process of the run, and waits for that.
#[derive(Debug)]
pub(crate) struct Watcher {
    socket: Option<UnixStream>,
    id: Pid,
}

impl Watcher {
    /// Forks the watcher.
    ///
    /// # Errors
    /// As socketpair(2) and fork(2).
    ///
    /// # Safety
    /// The process must have one thread: the watcher goes on as its copy.
    pub(crate) unsafe fn fork(os: &Os, run: super::RunTag) -> Result<Watcher, Fault> {
        let (ours, theirs) = UnixStream::pair().map_err(|error| Fault::os("make a socket for the watcher", error))?;
        // SAFETY: the caller says that there is one thread.
        match unsafe { nix::unistd::fork() } {
            Ok(ForkResult::Child) => {
                drop(ours);
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch(os, run, &theirs)));
                super::child::exit_now(0)
            }
            Ok(ForkResult::Parent { child }) => {
                ours.set_nonblocking(true).map_err(|error| Fault::os("listen to the watcher", error))?;
                Ok(Watcher { socket: Some(ours), id: child })
            }
            Err(errno) => Err(Fault::os("start the watcher", errno)),
        }
    }

    /// Tells it something.
    pub(crate) fn tell(&self, order: Order) -> std::io::Result<()> {
        self.socket.as_ref().map_or(Ok(()), |mut socket| socket.write_all(&order.to_bytes()))
    }

    /// Signals that it got since.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn take(&self) -> std::io::Result<Vec<i32>> {
        let mut taken = Vec::new();
        let mut bytes = [0; 256];
        let Some(mut socket) = self.socket.as_ref() else { return Ok(taken) };
        loop {
            match socket.read(&mut bytes) {
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => taken.extend(bytes[..count].iter().map(|byte| i32::from(*byte))),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(taken),
                Err(error) => return Err(error),
            }
        }
    }

    /// The socket on which signals are told.
    pub(crate) fn socket(&self) -> Option<&UnixStream> {
        self.socket.as_ref()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.socket.take());
        super::child::wait_for(self.id, Instant::now() + PATIENCE);
    }
}

/// The life of the watcher.
fn watch(os: &Os, run: super::RunTag, socket: &UnixStream) {
    let Ok(signals) = Signals::watch() else { return };
    // Standard streams stay: whoever reads the other ends must not see them closed later than those of srt, which ends first.
    let _ = descriptors::close_all_but(&[socket.as_raw_fd(), signals.as_fd().as_raw_fd(), signals.writer()]);
    let mut tree = Tree { run, command: None };
    let mut reporter = None;
    while let Some(order) = next(socket, &signals) {
        match order {
            Order::Command(id) => tree.command = Some(id),
            Order::Reporter(id) => reporter = Some(id),
            Order::NoReporter => reporter = None,
            Order::NoCommand => tree.command = None,
        }
    }
    let _ = signals::hold();
    // What has gone meanwhile is what was wanted.
    let end = |id: i32| {
        let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
    };
    reporter.into_iter().for_each(end);
    tree::end(|| (os.members)(&tree), end, std::thread::sleep);
}

/// The next order; `None` when srt has gone. Signals are told meanwhile.
fn next(mut socket: &UnixStream, signals: &Signals) -> Option<Order> {
    loop {
        let mut ready = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN), PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        if rustix::event::poll(&mut ready, None).is_err() {
            // A signal, which is in its pipe now.
            continue;
        }
        let ordered = !ready[0].revents().is_empty();
        for signal in signals.take().into_iter().filter(|signal| *signal != libc::SIGCHLD) {
            // Where srt has gone, that is what is read next.
            let _ = socket.write_all(&[signal as u8]);
        }
        if ordered {
            let mut bytes = [0; ORDER];
            return socket.read_exact(&mut bytes).ok().and_then(|()| Order::of_bytes(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_back() {
        for order in [Order::Command(7), Order::NoCommand, Order::Reporter(i32::MAX), Order::NoReporter] {
            assert_eq!(Order::of_bytes(order.to_bytes()), Some(order));
        }
        assert_eq!(Order::of_bytes(*b"x0000"), None);
    }
}

//! What a run uses: tells the service of its sandbox, and hears what the kernel saw of it.
//!
//! Nothing here waits but [`connect`], and that not for long: a service that is slow or gone costs a run its reports of the kernel, never its pace.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::socket::{self, Socket};
use super::wire::{Answer, Attached, Hello, LONGEST_ANSWER, LONGEST_LINE, Said};
use crate::Fault;

/// How long the command waits for the service to watch.
const GREETING: Duration = Duration::from_secs(1);

/// What the service says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// After [`reconnect`]: the sandbox is watched from now on.
    Watching(Attached),
    /// The bytes of one [`srt_ebpf::Record`] with its texts; they are well formed.
    Record(Vec<u8>),
    /// So many records of this sandbox were lost since the last such packet.
    Lost(u64),
    /// Somebody watches this run (`true`), or nobody does any more.
    Observed(bool),
    /// All that had happened when [`Connection::request_sync`] was called has been received, but for what passed by: at most so many calls, of any process on the host, since the run came.
    Synced(u64),
    /// The connection is over: why.
    Gone(Gone),
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The service ended. It may come back.
    Ended,
    /// It does not want this run, now: in its words.
    Refused(String),
    /// It said something that no service says. Trying again is of no use.
    Strange,
}

/// A connection to the service. May be waited for as a descriptor.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    buffer: Box<[u8]>,
    attached: Attached,
    greeted: bool,
}

/// Asks the service to watch a sandbox, and waits until it does. `watch` as in [`srt_ebpf::watch`]; `pid_ns` is the sandbox's pid namespace. `None` where there is no service.
///
/// # Errors
/// There is one, but it is not root's nor the caller's, refuses, or does not answer within a second.
pub fn connect(path: &Path, command: &str, watch: u64, pid_ns: BorrowedFd<'_>) -> Result<Option<Connection>, Fault> {
    let fault = |cause: &dyn std::fmt::Display| Fault::new(format!("use the service at {}", path.display()), cause);
    let mut connection = match greet(path, command, watch, pid_ns) {
        Ok(connection) => connection,
        // No file, no listener, or a listener that is too busy even to be connected to.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::CONNREFUSED | Errno::AGAIN) => return Ok(None),
        Err(errno) => return Err(fault(&crate::fault::errno_text(&errno.into()))),
    };
    let start = Instant::now();
    loop {
        match connection.receive().map_err(|error| fault(&crate::fault::errno_text(&error)))? {
            Some(Packet::Watching(_)) => return Ok(Some(connection)),
            Some(Packet::Gone(Gone::Refused(message))) => return Err(fault(&crate::violation::sanitise(&message))),
            Some(Packet::Gone(Gone::Ended)) => return Ok(None),
            Some(_) => return Err(fault(&"it does not speak the protocol")),
            None => {}
        }
        let left = GREETING.checked_sub(start.elapsed()).ok_or_else(|| fault(&"it does not answer"))?;
        socket::wait(&connection.socket, left).map_err(|error| fault(&crate::fault::errno_text(&error)))?;
    }
}

/// The same for a run whose connection has ended: never waits. `None` where there is no service to be had now; see [`Retry`] for when to try again.
///
/// The first packet is [`Packet::Watching`], or [`Packet::Gone`]. What was denied in between was not seen by the kernel program.
pub fn reconnect(path: &Path, command: &str, watch: u64, pid_ns: BorrowedFd<'_>) -> Option<Connection> {
    greet(path, command, watch, pid_ns).ok()
}

fn greet(path: &Path, command: &str, watch: u64, pid_ns: BorrowedFd<'_>) -> Result<Connection, Errno> {
    let socket = Socket::connect(path)?;
    // Whoever else listens there could tell lies about what was denied.
    if !socket.is_trusted()? {
        return Err(Errno::PERM);
    }
    socket.send(&Hello::Run { watch, command: command.to_owned() }.encode(), Some(pid_ns))?;
    Ok(Connection { socket, buffer: vec![0; LONGEST_ANSWER + 1].into_boxed_slice(), attached: Attached::default(), greeted: false })
}

impl Connection {
    /// How the service sees calls return.
    #[must_use]
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    /// The next packet; `None` where there is none now. After [`Packet::Gone`] nothing follows.
    ///
    /// # Errors
    /// The socket cannot be read: the connection is of no use any more.
    pub fn receive(&mut self) -> io::Result<Option<Packet>> {
        let bytes = match self.socket.receive(&mut self.buffer) {
            Ok(0) | Err(Errno::CONNRESET) => return Ok(Some(Packet::Gone(Gone::Ended))),
            Ok(bytes) => bytes,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let answer = if bytes <= LONGEST_ANSWER { Answer::decode(&self.buffer[..bytes]) } else { None };
        Ok(Some(match (answer, self.greeted) {
            (Some(Answer::Watching(attached)), false) => {
                self.greeted = true;
                self.attached = attached.clone();
                Packet::Watching(attached)
            }
            (Some(Answer::Refused(message)), _) => Packet::Gone(Gone::Refused(message)),
            (Some(Answer::Record(bytes)), true) => Packet::Record(bytes),
            (Some(Answer::Lost(count)), true) => Packet::Lost(count),
            (Some(Answer::Observed(observed)), true) => Packet::Observed(observed),
            (Some(Answer::Synced(passed_by)), true) => Packet::Synced(passed_by),
            _ => Packet::Gone(Gone::Strange),
        }))
    }

    /// Sends a status line, as `--status-fd` has it; never waits. `false` where it was not sent: the service does not take more now, or the line is longer than any packet.
    pub fn send_status(&self, line: &[u8]) -> bool {
        line.len() <= LONGEST_LINE && self.socket.send(line, None).is_ok()
    }

    /// Asks for [`Packet::Synced`]: at its end a run wants all that was seen of it, and no more than that. `false` where the service does not take more now.
    pub fn request_sync(&self) -> bool {
        self.socket.send(Said::SYNC, None).is_ok()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// When to try [`reconnect`]: soon, for a service that is being restarted, then ever more rarely.
#[derive(Debug, Default)]
pub struct Retry {
    tried: u32,
    in_vain: bool,
}

impl Retry {
    const FIRST: Duration = Duration::from_millis(100);
    const LAST: Duration = Duration::from_secs(10);

    /// How long to wait before the next attempt; none where there is to be none. Spread by the process's id: two hundred runs do not all come at once.
    pub fn delay(&mut self) -> Option<Duration> {
        if self.in_vain {
            return None;
        }
        let delay = Self::FIRST.saturating_mul(1 << self.tried.min(7)).min(Self::LAST);
        self.tried = self.tried.saturating_add(1);
        Some(delay + delay.mul_f64(f64::from(std::process::id() % 64) / 128.0))
    }

    /// There is no use in trying again.
    pub fn give_up(&mut self) {
        self.in_vain = true;
    }

    /// A connection was made and held.
    pub fn reset(&mut self) {
        self.tried = 0;
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::SocketAddrUnix;

    use super::*;

    /// A service of the test's own: what it says, and the run that hears it.
    fn talk(name: &str, packets: &[&[u8]]) -> Result<Option<Connection>, Fault> {
        let path = std::env::temp_dir().join(format!("srt-monitor-client-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = socket::new_socket().unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 1).unwrap();
        rustix::io::ioctl_fionbio(&listener, false).unwrap();
        let (connection, hello) = std::thread::scope(|scope| {
            let service = scope.spawn(|| {
                let client = Socket::accepted(rustix::net::accept(&listener).unwrap());
                socket::wait(&client, GREETING).unwrap();
                let shown = client.show().unwrap();
                assert!(!shown.more && client.receive(&mut [0; 1000]).is_ok());
                packets.iter().for_each(|packet| client.send(packet, None).unwrap());
                usize::from(shown.first.is_some())
            });
            let namespace = std::fs::File::open("/proc/self/ns/pid").unwrap();
            (connect(&path, "true", 1, namespace.as_fd()), service.join().unwrap())
        });
        std::fs::remove_file(&path).unwrap();
        assert_eq!(hello, 1, "one descriptor");
        connection
    }

    fn watching() -> Vec<u8> {
        Answer::Watching(Attached { every_call: true, missing: Vec::new() }).encode()
    }

    #[test]
    fn a_run_hears_what_was_seen_and_then_the_end() {
        let mut connection = talk("ok", &[&watching(), &Answer::Lost(3).encode(), &Answer::Observed(true).encode()]).unwrap().unwrap();
        assert!(connection.attached().every_call);
        let mut next = || connection.receive().unwrap();
        assert_eq!((next(), next()), (Some(Packet::Lost(3)), Some(Packet::Observed(true))));
        assert_eq!(next(), Some(Packet::Gone(Gone::Ended)));
        assert!(!connection.send_status(b"{}") && !connection.request_sync());
    }

    #[test]
    fn a_refusal_is_told_in_clean_words_and_nonsense_is_no_service() {
        let refused = talk("no", &[&Answer::Refused("not \u{1b}[2J yours".to_owned()).encode()]).unwrap_err().to_string();
        assert!(refused.contains("yours") && !refused.contains('\u{1b}'), "{refused}");
        assert!(talk("early", &[&Answer::Lost(3).encode()]).is_err());
        assert!(talk("strange", &[b"hello"]).is_err());
        assert!(talk("gone", &[]).is_ok_and(|connection| connection.is_none()));
        let mut twice = talk("twice", &[&watching(), &watching()]).unwrap().unwrap();
        assert_eq!(twice.receive().unwrap(), Some(Packet::Gone(Gone::Strange)));
    }

    #[test]
    fn where_nobody_listens_there_is_no_service() {
        let namespace = std::fs::File::open("/proc/self/ns/pid").unwrap();
        for path in ["/nowhere/monitor.sock", "/etc/passwd/monitor.sock"] {
            assert!(connect(Path::new(path), "true", 0, namespace.as_fd()).is_ok_and(|connection| connection.is_none()));
        }
        assert!(reconnect(Path::new("/nowhere/monitor.sock"), "true", 0, namespace.as_fd()).is_none());
    }

    #[test]
    fn attempts_become_rarer_and_never_cease() {
        let mut retry = Retry::default();
        let delays: Vec<Duration> = (0..100).filter_map(|_| retry.delay()).collect();
        assert!(delays.windows(2).all(|two| two[0] <= two[1]));
        assert!(delays[0] < Duration::from_millis(200) && delays[99] <= Retry::LAST * 2);
        retry.reset();
        assert_eq!(retry.delay(), Some(delays[0]));
        retry.give_up();
        assert_eq!(retry.delay(), None);
    }
}

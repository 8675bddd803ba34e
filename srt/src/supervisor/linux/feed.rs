//! Where records of the kernel's program come from: a program of this run's own, or the service that has one for the whole host.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Fault;
use crate::backend::{Program, Way};
use crate::monitor::{self, Connection, Gone, Packet, Retry};

/// Bytes of the ring buffer: some thousand records.
const BUFFER: u32 = 1 << 20;
/// How long the end of a run waits for what the service still has.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// What was heard.
pub(super) enum Heard {
    /// The bytes of a record.
    Record(Vec<u8>),
    /// So many were lost.
    Lost(u64),
    /// So many calls, of any process, were not looked at.
    PassedBy(u64),
    /// Somebody watches this run through the service, or nobody does any more.
    Observed(bool),
    /// The service has gone, or is back.
    Away(bool),
}

/// One sandbox, as who reports on it must know it.
pub(super) struct Watched {
    /// Its pid namespace.
    pub(super) namespace: OwnedFd,
    /// Bits of [`srt_ebpf::watch`].
    pub(super) watch: u64,
    /// For those who look on.
    pub(super) command: String,
}

/// A program of this run's own on its way into the kernel, on a thread beside ours: the sandbox is made meanwhile.
pub(super) struct Loading(JoinHandle<Result<Program, Fault>>);

impl Loading {
    /// Attached to all calls at once: it is soon there and soon gone, where single hooks take the kernel's time for each.
    pub(super) fn start() -> Result<Loading, Fault> {
        let thread = std::thread::Builder::new().name("load".to_owned());
        let loading = thread.spawn(|| Program::load(Way::EveryCall, BUFFER));
        loading.map(Loading).map_err(|error| Fault::os("load the eBPF program", error))
    }

    fn finish(self) -> Result<Program, Fault> {
        self.0.join().unwrap_or_else(|_| Err(Fault::new("load the eBPF program", "the loader failed")))
    }
}

/// Where records come from.
pub(super) enum Feed {
    /// Our own program.
    Own(Box<Own>),
    /// The service.
    Service(Service),
}

/// A program of this run alone.
pub(super) struct Own {
    program: Program,
    pid_ns: u32,
    ready: AsyncFd<OwnedFd>,
    /// Lost records that were told of.
    told_lost: u64,
}

/// A service, which may be restarted meanwhile.
pub(super) struct Service {
    path: PathBuf,
    watched: Watched,
    /// None while it is away.
    connection: Option<(Connection, AsyncFd<OwnedFd>)>,
    retry: Retry,
    synced: bool,
}

fn wait_on(descriptor: impl std::os::fd::AsFd) -> Result<AsyncFd<OwnedFd>, Fault> {
    let fault = |error: std::io::Error| Fault::os("wait for records", error);
    let own = descriptor.as_fd().try_clone_to_owned().map_err(fault)?;
    // SAFETY: the descriptor owns what it names, and always names the same.
    unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) }.map_err(|error| fault(error.into()))
}

impl Feed {
    /// A program for this sandbox alone.
    pub(super) fn own(watched: Watched, loading: Loading) -> Result<Feed, Fault> {
        let inode = std::fs::File::from(watched.namespace).metadata().map_err(|error| Fault::os("name the sandbox", error))?.ino();
        let pid_ns = u32::try_from(inode).map_err(|_| Fault::new("name the sandbox", "its number is too large"))?;
        let mut program = loading.finish()?;
        program.add(pid_ns, watched.watch)?;
        let ready = wait_on(&program.records)?;
        Ok(Feed::Own(Box::new(Own { program, pid_ns, ready, told_lost: 0 })))
    }

    /// Asks the service. None where there is none; then the sandbox is given back.
    ///
    /// # Errors
    /// There is one, and it does not serve us.
    pub(super) fn service(path: &Path, watched: Watched) -> Result<Result<Feed, Watched>, Fault> {
        let Some(connection) = monitor::connect(path, &watched.command, watched.watch, watched.namespace.as_fd())? else {
            return Ok(Err(watched));
        };
        let ready = wait_on(&connection)?;
        let service =
            Service { path: path.to_owned(), watched, connection: Some((connection, ready)), retry: Retry::default(), synced: false };
        Ok(Ok(Feed::Service(service)))
    }

    /// Waits until there may be something.
    pub(super) async fn ready(&mut self) {
        let ready = match self {
            Feed::Own(own) => &own.ready,
            Feed::Service(Service { connection: Some((_, ready)), .. }) => ready,
            Feed::Service(service) => return service.come_back().await,
        };
        match ready.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            // The event loop is ending.
            Err(_) => std::future::pending().await,
        }
    }

    /// What is there already.
    pub(super) fn next(&mut self) -> Option<Heard> {
        match self {
            Feed::Own(own) => own.next(),
            Feed::Service(service) => service.next(),
        }
    }

    /// A descriptor to which status lines can be sent; none where there is no service.
    pub(super) fn line_out(&self) -> Option<OwnedFd> {
        match self {
            Feed::Service(Service { connection: Some((connection, _)), .. }) => connection.as_fd().try_clone_to_owned().ok(),
            _ => None,
        }
    }

    /// The command has ended: everything that is still to come. False where that is not known to be all.
    pub(super) fn last(&mut self, mut heard: impl FnMut(Heard)) -> bool {
        if let Feed::Service(Service { connection: Some((connection, _)), .. }) = self {
            connection.request_sync();
        }
        let end = Instant::now() + LAST_WAIT;
        loop {
            while let Some(one) = self.next() {
                heard(one);
            }
            if let Feed::Own(own) = self {
                heard(Heard::PassedBy(own.program.passed_by()));
                return true;
            }
            let Feed::Service(Service { connection: Some((connection, _)), synced: false, .. }) = self else { return true };
            let Some(left) = end.checked_duration_since(Instant::now()) else { return false };
            let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
            let _ = rustix::event::poll(&mut [PollFd::new(connection, PollFlags::IN)], Some(&timeout));
        }
    }
}

impl Own {
    fn next(&mut self) -> Option<Heard> {
        if let Some(record) = self.program.records.next() {
            return Some(Heard::Record(record.to_vec()));
        }
        let lost = self.program.lost(self.pid_ns);
        let more = lost.saturating_sub(std::mem::replace(&mut self.told_lost, lost));
        (more > 0).then_some(Heard::Lost(more))
    }
}

impl Service {
    fn next(&mut self) -> Option<Heard> {
        let (connection, _) = self.connection.as_mut()?;
        match connection.receive() {
            Ok(None) => None,
            Ok(Some(Packet::Record(bytes))) => Some(Heard::Record(bytes)),
            Ok(Some(Packet::Lost(count))) => Some(Heard::Lost(count)),
            Ok(Some(Packet::Observed(observed))) => Some(Heard::Observed(observed)),
            Ok(Some(Packet::Watching(_))) => {
                self.retry.reset();
                Some(Heard::Away(false))
            }
            Ok(Some(Packet::Synced(passed_by))) => {
                self.synced = true;
                Some(Heard::PassedBy(passed_by))
            }
            gone @ (Ok(Some(Packet::Gone(_))) | Err(_)) => {
                tracing::debug!("monitor: {gone:?}");
                self.connection = None;
                self.synced = true;
                // Also one that refused us may have room later: the place may be taken, by a command of this sandbox even, which goes.
                if !matches!(gone, Ok(Some(Packet::Gone(Gone::Ended | Gone::Refused(_))))) {
                    self.retry.give_up();
                }
                Some(Heard::Away(true))
            }
        }
    }

    /// Waits for another service in the place of the one that went.
    async fn come_back(&mut self) {
        let Some(delay) = self.retry.delay() else { return std::future::pending().await };
        tokio::time::sleep(delay).await;
        let Watched { namespace, watch, command } = &self.watched;
        if let Some(connection) = monitor::reconnect(&self.path, command, *watch, namespace.as_fd())
            && let Ok(ready) = wait_on(&connection)
        {
            self.connection = Some((connection, ready));
            self.synced = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

    use super::*;

    const WATCHING: &[u8] = br#"{"v":1,"type":"watching","attached":"calls","missing":[]}"#;
    const REFUSED: &[u8] = br#"{"v":1,"type":"error","message":"this sandbox is watched already"}"#;

    #[tokio::test]
    async fn a_service_that_refuses_after_its_restart_is_asked_again() {
        let path = std::env::temp_dir().join(format!("srt-feed-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 4).unwrap();
        let service = std::thread::spawn(move || {
            let answer = |answer: &[u8]| {
                let run = rustix::net::accept(&listener).unwrap();
                rustix::net::recv(&run, &mut [0; 1000][..], RecvFlags::empty()).unwrap();
                rustix::net::send(&run, answer, SendFlags::NOSIGNAL).unwrap();
                run
            };
            [WATCHING, REFUSED, REFUSED].into_iter().for_each(|end| drop(answer(end)));
            answer(WATCHING)
        });
        let namespace = std::fs::File::open("/proc/self/ns/pid").unwrap().into();
        let watched = Watched { namespace, watch: 0, command: "true".to_owned() };
        let mut feed = Feed::service(&path, watched).unwrap().ok().expect("there is a service");
        let mut away = Vec::new();
        while away.last() != Some(&false) {
            tokio::time::timeout(Duration::from_secs(20), feed.ready()).await.expect("it comes back");
            while let Some(heard) = feed.next() {
                away.extend(if let Heard::Away(away) = heard { Some(away) } else { None });
            }
        }
        assert_eq!(away, [true, true, true, false]);
        drop(service.join().unwrap());
        std::fs::remove_file(path).unwrap();
    }
}

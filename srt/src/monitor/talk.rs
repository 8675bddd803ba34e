//! One client: what he may say, and what becomes of it.
//!
//! Anybody may connect, also from inside a container, and say anything. Believed is what the kernel says: the user id of who connected, and what a descriptor is. A client that breaks the protocol
//! is told so and let go. One that says much is read slowly: his own socket fills up, and his own sends fail.

use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::admission::Role;
use super::burial::Remains;
use super::namespace;
use super::outbox::Outbox;
use super::registry::Run;
use super::service::Service;
use super::socket::{Socket, Waiting};
use super::wire::{self, Answer, Hello, LONGEST, Said};
use crate::violation::rfc3339;

/// How long a client may take to say what he wants.
const HELLO: Duration = Duration::from_secs(5);
/// Bytes that wait for a run, beyond what its socket holds: some hundred records.
const FOR_RUN: usize = 32 * 1024;
/// Bytes that wait for a watcher: all that is kept of a run, and more.
const FOR_WATCHER: usize = 128 * 1024;

/// Status lines that a run may send at once, and how many more each second: more than an honest run has to say, for it says the same thing once.
const LINES: f64 = 4000.0;
const LINES_A_SECOND: f64 = 200.0;
/// Lines that are read before another client's turn.
const AT_ONCE: usize = 16;

/// Why a client is let go.
enum End {
    /// He went.
    Gone,
    /// He did what he must not.
    Refused(String),
}

impl From<&str> for End {
    fn from(text: &str) -> Self {
        End::Refused(text.to_owned())
    }
}

/// Serves a client to the end; what is to be closed then.
pub(super) async fn talk(service: &Service, socket: Socket, uid: u32, pid: i32) -> Remains {
    let mut remains = Remains { socket: None, descriptors: Vec::new(), slot: None };
    // SAFETY: the socket owns its descriptor and always names the same.
    let registered = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE | Interest::WRITABLE) };
    let Ok(socket) = registered.map(Rc::new) else { return remains };
    let end = match tokio::time::timeout(HELLO, hello(service, &socket)).await {
        Err(_) => End::from("nothing was said"),
        Ok(Err(end)) => end,
        Ok(Ok((hello, descriptors))) => {
            remains.descriptors = descriptors;
            match hello {
                Some(Hello::Run { watch, command }) => match admit(service, uid, &mut remains.descriptors) {
                    Ok((pid_ns, namespace)) => {
                        let passed_by = service.program.borrow().passed_by();
                        run(
                            service,
                            &socket,
                            watch,
                            Run {
                                uid,
                                pid,
                                command,
                                started: rfc3339(SystemTime::now()),
                                pid_ns,
                                namespace,
                                outbox: Rc::new(Outbox::new(socket.clone(), FOR_RUN, |count| Answer::Lost(count).encode())),
                                passed_by,
                            },
                        )
                        .await
                    }
                    Err(end) => end,
                },
                Some(Hello::Watch) if remains.descriptors.is_empty() => watcher(service, &socket, uid).await,
                _ => End::from("this is no greeting"),
            }
        }
    };
    if let End::Refused(message) = end {
        tracing::debug!("monitor: uid {uid} pid {pid}: {message}");
        // Where he does not read it, he does not want to know.
        let _ = socket.get_ref().send(&Answer::Refused(message).encode(), None);
    }
    remains.socket = Rc::into_inner(socket).map(AsyncFd::into_inner);
    debug_assert!(remains.socket.is_some(), "nobody else keeps the socket");
    remains
}

/// The first packet, and all that came with it.
async fn hello(service: &Service, socket: &AsyncFd<Socket>) -> Result<(Option<Hello>, Vec<OwnedFd>), End> {
    loop {
        let mut ready = socket.readable().await.map_err(|_| End::Gone)?;
        match socket.get_ref().peek() {
            Ok(Waiting::End) => return Err(End::Gone),
            Ok(Waiting::Packet { .. }) => {
                let mut buffer = service.buffer.borrow_mut();
                let (bytes, descriptors) = socket.get_ref().receive_all(&mut buffer).map_err(|_| End::Gone)?;
                return Ok((Hello::decode(&buffer[..bytes]), descriptors));
            }
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(_) => return Err(End::Gone),
        }
    }
}

/// The namespace of a run, if it is one that this user may have watched. What is not taken stays where it is.
fn admit(service: &Service, uid: u32, descriptors: &mut Vec<OwnedFd>) -> Result<(u32, OwnedFd), End> {
    let [namespace] = descriptors.as_slice() else { return Err(End::from("one descriptor must come with this greeting")) };
    let pid_ns = namespace::of(namespace.as_fd(), uid).map_err(|refusal| End::Refused(refusal.to_string()))?;
    if service.registry.borrow().has(pid_ns) {
        return Err(End::from("this sandbox is watched already"));
    }
    descriptors.pop().map(|namespace| (pid_ns, namespace)).ok_or(End::Gone)
}

async fn run(service: &Service, socket: &AsyncFd<Socket>, watch: u64, run: Run) -> End {
    let (pid_ns, outbox) = (run.pid_ns, run.outbox.clone());
    let bits = watch & (srt_ebpf::watch::MISSING | srt_ebpf::watch::BROKER);
    if let Err(fault) = service.program.borrow_mut().add(pid_ns, bits) {
        return End::Refused(fault.to_string());
    }
    outbox.push(&Answer::Watching(service.attached.clone()).encode());
    let id = service.registry.borrow_mut().add(run);
    let end = tokio::select! {
        end = listen(service, socket, id) => end,
        () = outbox.pump() => End::Gone,
    };
    service.program.borrow_mut().remove(pid_ns);
    service.registry.borrow_mut().remove(id);
    end
}

/// Takes the status lines of a run.
async fn listen(service: &Service, socket: &AsyncFd<Socket>, run: u64) -> End {
    let mut pace = Pace { left: LINES, since: Instant::now() };
    loop {
        let Ok(mut ready) = socket.readable().await else { return End::Gone };
        for _ in 0..AT_ONCE {
            match socket.get_ref().peek() {
                Ok(Waiting::Packet { bytes: 1..=LONGEST, descriptors: false }) => {
                    if let Err(end) = hear(service, socket.get_ref(), run) {
                        return end;
                    }
                    pace.left -= 1.0;
                }
                Ok(Waiting::Packet { .. }) => return End::from("this is no status line"),
                Ok(Waiting::End) => return End::Gone,
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    break;
                }
                Err(_) => return End::Gone,
            }
        }
        pace.keep().await;
    }
}

fn hear(service: &Service, socket: &Socket, run: u64) -> Result<(), End> {
    let mut buffer = service.buffer.borrow_mut();
    let bytes = socket.receive(&mut buffer).map_err(|_| End::Gone)?;
    match Said::decode(&buffer[..bytes]).ok_or("this is no status line")? {
        Said::Sync => service.sync(run),
        Said::Line(kind) => service.registry.borrow_mut().line(run, kind, buffer[..bytes].trim_ascii_end()),
    }
    Ok(())
}

/// Shows a watcher what he may see.
async fn watcher(service: &Service, socket: &Rc<AsyncFd<Socket>>, uid: u32) -> End {
    let Some(_slot) = service.admission.admit(uid, Role::Watcher) else { return End::from("this user watches as often as one may") };
    let outbox = Rc::new(Outbox::new(socket.clone(), FOR_WATCHER, wire::dropped));
    let id = service.registry.borrow_mut().watch(uid, outbox.clone());
    let introduce = async {
        // A borrow must not outlive its statement: others run while we wait.
        while introduce(service, id) {
            outbox.emptied().await;
        }
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = silence(socket) => end,
        () = outbox.pump() => End::Gone,
        () = introduce => End::Gone,
    };
    service.registry.borrow_mut().unwatch(id);
    end
}

fn introduce(service: &Service, watcher: u64) -> bool {
    service.registry.borrow_mut().introduce(watcher)
}

/// Watchers have nothing to say.
async fn silence(socket: &AsyncFd<Socket>) -> End {
    loop {
        let Ok(mut ready) = socket.readable().await else { return End::Gone };
        match socket.get_ref().peek() {
            Ok(Waiting::Packet { .. }) => return End::from("watchers have nothing to say"),
            Err(Errno::AGAIN) => ready.clear_ready(),
            _ => return End::Gone,
        }
    }
}

/// How fast a client is read.
struct Pace {
    left: f64,
    since: Instant,
}

impl Pace {
    /// Waits where too much was said.
    async fn keep(&mut self) {
        let now = Instant::now();
        self.left = (self.left + now.duration_since(self.since).as_secs_f64() * LINES_A_SECOND).min(LINES);
        self.since = now;
        if self.left < 0.0 {
            tokio::time::sleep(Duration::from_secs_f64(-self.left / LINES_A_SECOND)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

//! One client: what he may say, and what becomes of it.
//!
//! Anybody may connect, also from inside a container, and say anything. Believed is what the kernel says: the user id of who connected, and what a descriptor is. A client that breaks the protocol
//! is told so and let go. One that says much is read slowly: his own socket fills up, and his own sends fail.
//!
//! No packet is received here that has descriptors, but a greeting whose only descriptor was looked at and is a namespace: the kernel closes what it cannot hand over, and what is received has to
//! be closed, and either may take for ever (see `burial`).

use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use super::admission::Role;
use super::namespace;
use super::outbox::Outbox;
use super::registry::Run;
use super::service::Service;
use super::socket::{Socket, Waiting};
use super::users::{Look, Turn, User};
use super::wire::{self, Answer, Hello, LONGEST, LONGEST_ANSWER, LONGEST_HELLO, Said};
use crate::violation::rfc3339;

/// How long a client may take to say what he wants.
const HELLO: Duration = Duration::from_secs(5);
/// Bytes that wait for a run, beyond what its socket holds: as many records as are passed on at once, and more.
const FOR_RUN: usize = 128 * 1024;
/// Bytes that wait for a watcher: all that is kept of a run, and more.
const FOR_WATCHER: usize = 128 * 1024;
/// Bytes that wait in the sockets, which are the kernel's memory and counted as ours: for a run, and for a watcher.
const UNREAD: usize = 18 * 1024;
const UNREAD_OF_WATCHER: usize = 64 * 1024;
const _: () = assert!(UNREAD > LONGEST_ANSWER + 1024 && UNREAD_OF_WATCHER > LONGEST + 1024, "each packet must fit");

/// What a turn of one client may cost.
const TURN: usize = 16 * 1024;

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

/// What a client wants.
enum Greeting {
    Run { watch: u64, command: String, pid_ns: u32, namespace: OwnedFd },
    Watch,
}

/// For one who has just come in: what he does not read costs little.
pub(super) fn limit_unread(socket: &Socket) {
    socket.limit_unread(UNREAD);
}

/// Serves a client to the end; his socket, which is to be closed then.
pub(super) async fn talk(service: &Service, socket: Socket, uid: u32, pid: i32) -> Option<Socket> {
    // SAFETY: the socket owns its descriptor and always names the same.
    let registered = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE | Interest::WRITABLE) };
    let socket = match registered {
        Ok(socket) => Rc::new(socket),
        Err(error) => return Some(error.into_parts().0),
    };
    let user = service.users.get(uid);
    let end = match tokio::time::timeout(HELLO, hello(service, &user, &socket, uid)).await {
        Err(_) => End::from("no greeting came in time"),
        Ok(Err(end)) => end,
        Ok(Ok(Greeting::Watch)) => watcher(service, &socket, uid).await,
        Ok(Ok(Greeting::Run { watch, command, pid_ns, namespace })) => {
            let outbox = Outbox::new(socket.clone(), FOR_RUN, (service.memory.clone(), uid), |count| Answer::Lost(count).encode());
            let started = rfc3339(SystemTime::now());
            let passed_by = service.program.borrow().passed_by();
            let outbox = Rc::new(outbox);
            run(service, &user, &socket, watch, Run { uid, pid, command, started, pid_ns, namespace, outbox, passed_by }).await
        }
    };
    if let End::Refused(message) = end {
        tracing::debug!("monitor: uid {uid} pid {pid}: {message}");
        // Where he does not read it, he does not want to know.
        let _ = socket.get_ref().send(&Answer::Refused(message).encode(), None);
    }
    let socket = Rc::into_inner(socket).map(AsyncFd::into_inner);
    debug_assert!(socket.is_some(), "nobody else keeps the socket");
    socket
}

/// The first packet.
async fn hello(service: &Service, user: &User, socket: &AsyncFd<Socket>, uid: u32) -> Result<Greeting, End> {
    let receive = || {
        let mut buffer = service.buffer.borrow_mut();
        let bytes = socket.get_ref().receive(&mut buffer).map_err(|_| End::Gone)?;
        Hello::decode(&buffer[..bytes]).ok_or_else(|| End::from("this is no greeting"))
    };
    loop {
        let mut ready = socket.readable().await.map_err(|_| End::Gone)?;
        match socket.get_ref().peek() {
            Ok(Waiting::End) => return Err(End::Gone),
            Ok(Waiting::Packet { bytes, .. }) if bytes > LONGEST_HELLO => return Err(End::from("this is no greeting")),
            Ok(Waiting::Packet { descriptors: false, .. }) => {
                return match receive()? {
                    Hello::Watch => Ok(Greeting::Watch),
                    Hello::Run { .. } => Err(End::from(ONE_DESCRIPTOR)),
                };
            }
            Ok(Waiting::Packet { descriptors: true, .. }) => {
                let (pid_ns, namespace) = shown(user, socket.get_ref(), uid).await?;
                return match receive()? {
                    Hello::Run { .. } if service.registry.borrow().has(pid_ns) => Err(End::from("this sandbox is watched already")),
                    Hello::Run { watch, command } => Ok(Greeting::Run { watch, command, pid_ns, namespace }),
                    Hello::Watch => Err(End::from("this is no greeting")),
                };
            }
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(_) => return Err(End::Gone),
        }
    }
}

const ONE_DESCRIPTOR: &str = "one descriptor must come with this greeting";

/// The namespace that comes with a greeting, if it is one that this user may have watched. The packet stays where it is.
async fn shown(user: &User, socket: &Socket, uid: u32) -> Result<(u32, OwnedFd), End> {
    let look = user.look().await.ok_or(End::Gone)?;
    let shown = socket.show().map_err(|_| End::Gone)?;
    let descriptor = shown.first.ok_or("no descriptor can be taken now")?;
    let refusal = match namespace::of(descriptor.as_fd(), uid) {
        Ok(pid_ns) if !shown.more => return Ok((pid_ns, descriptor)),
        Ok(_) => ONE_DESCRIPTOR.to_owned(),
        Err(refusal) => refusal.to_string(),
    };
    close(descriptor, look).await;
    Err(End::Refused(refusal))
}

/// Closes a descriptor that may be anything, on a thread of its own: a file of FUSE is flushed then, and its server may take for ever. This user shows no other one until it is done.
async fn close(descriptor: OwnedFd, look: Look) {
    let (done, is_done) = oneshot::channel();
    // Not in the thread's closure: that one is dropped here where there can be no thread.
    let strange = Arc::new(Mutex::new(Some((descriptor, look))));
    let closing = strange.clone();
    let work = move || {
        drop(closing.lock().unwrap_or_else(PoisonError::into_inner).take());
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("close one".to_owned()).stack_size(64 * 1024).spawn(work).is_err() {
        // To keep it open is the lesser evil: the loop goes on.
        std::mem::forget(strange);
    }
    let _ = is_done.await;
}

async fn run(service: &Service, user: &User, socket: &AsyncFd<Socket>, watch: u64, run: Run) -> End {
    let (pid_ns, outbox) = (run.pid_ns, run.outbox.clone());
    let bits = watch & (srt_ebpf::watch::MISSING | srt_ebpf::watch::BROKER);
    if let Err(fault) = service.program.borrow_mut().add(pid_ns, bits) {
        return End::Refused(fault.to_string());
    }
    outbox.push(&Answer::Watching(service.attached.clone()).encode());
    let id = service.registry.borrow_mut().add(run);
    let end = tokio::select! {
        end = listen(service, user, socket, id) => end,
        () = outbox.pump() => End::Gone,
    };
    service.program.borrow_mut().remove(pid_ns);
    service.registry.borrow_mut().remove(id);
    end
}

/// Takes the status lines of a run.
async fn listen(service: &Service, user: &User, socket: &AsyncFd<Socket>, run: u64) -> End {
    loop {
        let Ok(mut ready) = socket.readable().await else { return End::Gone };
        let Some(turn) = user.turn().await else { return End::Gone };
        let mut cost = 0;
        while cost < TURN {
            match socket.get_ref().peek() {
                Ok(Waiting::Packet { bytes: bytes @ 1..=LONGEST, descriptors: false }) => {
                    if let Err(end) = hear(service, socket.get_ref(), run) {
                        return end;
                    }
                    cost += Turn::cost(bytes);
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
        turn.end(cost).await;
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
    let _slot = match service.admission.admit(uid, Role::Watcher) {
        Ok(slot) => slot,
        Err(why) => return End::from(why),
    };
    socket.get_ref().limit_unread(UNREAD_OF_WATCHER);
    let outbox = Rc::new(Outbox::new(socket.clone(), FOR_WATCHER, (service.memory.clone(), uid), wire::dropped));
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

//! The service: one loop for all clients.
//!
//! Nothing in it waits for a client. What a client may do to us is decided in `talk`, when by `users`; what he gets waits in his `outbox`; what he sent is closed by `burial`.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::admission::{Admission, Role, raise_descriptors};
use super::burial::Burial;
use super::place::Place;
use super::registry::{Registry, Sink};
use super::share::Pool;
use super::socket::Socket;
use super::users::Users;
use super::{Attached, talk, wire};
use crate::Fault;
use crate::backend::{self, Program, Scope, Way};

/// Bytes of the ring buffer, for all sandboxes together.
const BUFFER: u32 = 1 << 20;
/// Records that are passed on before the loop serves anybody else.
const AT_ONCE: usize = 256;
/// Bytes that wait in our memory for clients: of all users but root, and of one.
const WAITING: usize = 16 << 20;
const WAITING_OF_ONE: usize = 4 << 20;
/// How long nobody is let in after the system had no descriptor for us.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// What ends the service.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// What all clients share.
pub(super) struct Service {
    pub(super) registry: RefCell<Registry>,
    pub(super) program: RefCell<Program>,
    pub(super) attached: Attached,
    pub(super) admission: Admission,
    pub(super) burial: Burial,
    pub(super) users: Users,
    pub(super) memory: Pool,
    /// For one packet at a time.
    pub(super) buffer: RefCell<Box<[u8]>>,
    /// Bytes of records that were passed on.
    passed: Cell<u64>,
    sync: Notify,
}

/// Serves until a signal ends it. `sinks` are told of everything. It is listened only when there is something to tell.
pub(super) fn serve(listen: impl FnOnce() -> Result<Place, Fault>, sinks: Vec<Box<dyn Sink>>) -> Result<(), Fault> {
    let _ = backend::ignore_sigpipe();
    let fault = |error: std::io::Error| Fault::os("run the service", error);
    let program = Program::load(Way::Calls(Scope::All), BUFFER).map_err(|fault| {
        if fault.hint.is_some() { fault } else { fault.hint("the service needs CAP_BPF and CAP_PERFMON: run it as root") }
    })?;
    let service = Rc::new(Service {
        registry: RefCell::new(Registry::new(sinks)),
        attached: attached(&program.attached),
        program: RefCell::new(program),
        admission: Admission::new(raise_descriptors()),
        burial: Burial::default(),
        users: Users::default(),
        memory: Pool::new(WAITING, WAITING_OF_ONE),
        buffer: RefCell::new(vec![0; wire::LONGEST + 1].into_boxed_slice()),
        passed: Cell::new(0),
        sync: Notify::new(),
    });
    give_back();
    let place = listen()?;
    tracing::debug!("monitor: ready, {:?}", service.attached);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
    let tasks = LocalSet::new();
    let ended = tasks.block_on(&runtime, async {
        tokio::select! {
            end = signal() => end,
            end = service.clone().accept(&place) => end,
            end = service.pass_on() => end,
            () = service.burial.work() => Ok(()),
        }
    });
    // Sinks take leave of their readers.
    service.registry.borrow_mut().sinks.clear();
    // Dropping what the clients' tasks hold could wait for what a client sent (see `burial`); the end of the process does not.
    std::mem::forget((tasks, runtime, service));
    ended.map_err(fault)
}

/// From now on, the signals that end the service are waited for. Before any thread is started, for they inherit it.
pub(super) fn block_signals() -> Result<(), Fault> {
    let ending: SigSet = ENDING.into_iter().collect();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&ending), None).map_err(|errno| Fault::os("block signals", errno))
}

/// Memory that loading took and nobody needs any more, to the system: some megabytes of the kernel's description of itself.
fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no memory that is in use; may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

async fn signal() -> std::io::Result<()> {
    let ending: SigSet = ENDING.into_iter().collect();
    let descriptor = SignalFd::with_flags(&ending, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    // SAFETY: the SignalFd owns its descriptor and always names the same one.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
    registered.readable().await.map(drop)
}

fn attached(attached: &backend::Attached) -> Attached {
    match attached {
        backend::Attached::Calls { missing } => Attached { every_call: false, missing: missing.clone() },
        backend::Attached::EveryCall => Attached { every_call: true, missing: Vec::new() },
    }
}

impl Service {
    /// Lets clients in.
    async fn accept(self: Rc<Self>, place: &Place) -> std::io::Result<()> {
        // SAFETY: the place owns the listener as long as this borrow lives, and always names the same.
        let listener = unsafe { AsyncFd::register_with_interest(place.listener.as_fd(), Interest::READABLE) }?;
        loop {
            let mut ready = listener.readable().await?;
            match rustix::net::accept_with(place.listener.as_fd(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(descriptor) => self.clone().let_in(Socket::accepted(descriptor)),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => tokio::time::sleep(OUT_OF_DESCRIPTORS).await,
                // It has gone again.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO) => {}
                Err(errno) => return Err(errno.into()),
            }
            tokio::task::yield_now().await;
        }
    }

    fn let_in(self: Rc<Self>, socket: Socket) {
        // Who connected is known even where he has gone again.
        let Ok(peer) = socket.peer() else { return };
        let (uid, pid) = (peer.uid.as_raw(), peer.pid.as_raw_nonzero().get());
        talk::limit_unread(&socket);
        let slot = match self.admission.admit(uid, Role::Connection) {
            Ok(slot) => slot,
            Err(why) => {
                let _ = socket.send(&wire::Answer::Refused(why.to_owned()).encode(), None);
                return self.burial.close(socket);
            }
        };
        tokio::task::spawn_local(async move {
            if let Some(socket) = talk::talk(&self, socket, uid, pid).await {
                self.burial.close(socket);
            }
            drop(slot);
        });
    }

    /// Passes records on to the runs that they are about.
    async fn pass_on(&self) -> std::io::Result<()> {
        let descriptor: OwnedFd = self.program.borrow().records.as_fd().try_clone_to_owned()?;
        // SAFETY: owned, and always the same.
        let ready = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
        loop {
            let guard = tokio::select! {
                guard = ready.readable() => Some(guard?),
                () = self.sync.notified() => None,
            };
            while self.take(AT_ONCE) == AT_ONCE {
                self.registry.borrow_mut().synced(self.passed.get(), || self.program.borrow().passed_by());
                tokio::task::yield_now().await;
            }
            if let Some(mut guard) = guard {
                guard.clear_ready();
            }
            let (mut registry, program) = (self.registry.borrow_mut(), self.program.borrow());
            registry.lost(|pid_ns| program.lost(pid_ns));
            registry.synced(u64::MAX, || program.passed_by());
        }
    }

    /// Takes records out of the ring buffer; how many.
    fn take(&self, most: usize) -> usize {
        let (mut program, registry) = (self.program.borrow_mut(), self.registry.borrow());
        let mut packet = Vec::with_capacity(256);
        for taken in 0..most {
            let Some(bytes) = program.records.next() else { return taken };
            self.passed.set(self.passed.get() + bytes.len() as u64);
            // The kernel program writes nothing else.
            if let Some(parsed) = srt_ebpf::Record::parse(&bytes) {
                packet.clear();
                wire::record(&bytes, &mut packet);
                registry.record(parsed.record.pid_ns, &packet);
            }
        }
        most
    }

    /// A run wants to know when what it has caused up to now was passed on: then, at the latest, when as much as the buffer holds has been.
    pub(super) fn sync(&self, run: u64) {
        self.registry.borrow_mut().sync(run, self.passed.get() + u64::from(BUFFER));
        self.sync.notify_one();
    }
}

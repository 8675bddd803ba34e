//! The broker: it judges by name what the kernel can only judge by object.
//!
//! Mounts and Landlock hold objects; policies speak of names that may not exist yet, and of patterns. A seccomp filter stops those calls of the command that make, change or move
//! names, or name a peer, and sends them here, to `init`. Each is judged with the same function as everywhere else, and then *performed here*, inside, with the rights of the
//! command: same mounts, same Landlock domain, same ids, no capability. Reading, and writing to open descriptors, never comes here.
//!
//! The other side owns every byte of its memory, every thread and every descriptor, and may change them at any moment. So:
//!
//! - arguments are copied once, and the call is made with the copies; a call is let go to the kernel only where nothing was decided;
//! - names are judged with the real path of a directory that is held open, and the call is made relative to that directory, not following a link;
//! - whether the caller still waits is asked after copying and before acting, so that a recycled number is never served;
//! - a result is put into the caller's table before our copy is closed, and the call answered last: the caller may execute what it has just written;
//! - what may block waits on a thread that others do not need ([`pool`]);
//! - the one capability, to read callers that are not dumpable, is in force for those calls alone ([`authority`]).
//!
//! See seccomp_unotify(2).

mod address;
mod attributes;
mod authority;
mod call;
mod caller;
mod desk;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod judge;
mod masks;
mod messages;
mod names;
mod peers;
mod pool;
mod resolve;
mod shared_network;
mod sockets;
mod stop;
mod terminal;
mod told;
mod work;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::notify::{Listener, Notification};
use crate::policy::FsPolicy;

pub(super) use authority::{give_up, keep_permitted};
pub(super) use call::WRITE_INTENT;
pub(super) use desk::Desk;

use call::Call;
use files::Opening;
use peers::Peers;
use pool::Pool;
use stop::Stop;
use work::{Effect, Work};

/// What a run's settings say to the broker beside the rules on files.
#[derive(Clone, Debug, Default)]
pub struct BrokerSpec {
    /// Refuse modes with set-user-id or set-group-id bits: the caller is root.
    pub refuse_set_id: bool,
    /// Every UNIX socket with a path may be connected to.
    pub all_unix_sockets: bool,
    /// Those that one of these names, or that lie below, may.
    pub unix_sockets: Vec<crate::policy::Matcher>,
    /// Ports of the sandbox's loopback that lead to the host's.
    pub host_ports: Vec<u16>,
    /// There are no namespaces: files that may not be read are held by name, and so is everything about the network and about other processes.
    pub on_host: bool,
}

/// The broker of one run.
#[derive(Debug)]
pub(super) struct Broker {
    this: Weak<Broker>,
    listener: Listener,
    root: OwnedFd,
    policy: RwLock<Arc<FsPolicy>>,
    spec: BrokerSpec,
    desk: Arc<Desk>,
    pool: Pool,
    peers: Peers,
    masks: masks::Masks,
    servers: shared_network::Servers,
    foreign_proc: bool,
    /// Held by whoever moves or links names.
    names: Mutex<()>,
}

impl Broker {
    /// Starts to serve a listener.
    ///
    /// # Errors
    /// No thread can be made.
    pub(super) fn start(listener: Listener, policy: FsPolicy, spec: BrokerSpec, desk: Arc<Desk>) -> Result<Arc<Broker>, Errno> {
        let root = rustix::fs::openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let own_number = rustix::process::getpid().as_raw_nonzero().to_string();
        let foreign_proc = rustix::fs::readlink("/proc/self", Vec::new())?.to_bytes() != own_number.as_bytes();
        let broker = Arc::new_cyclic(|this| Broker {
            this: this.clone(),
            listener,
            root,
            policy: RwLock::new(Arc::new(policy)),
            spec,
            desk,
            pool: Pool::default(),
            peers: Peers::default(),
            masks: masks::Masks::default(),
            servers: shared_network::Servers::default(),
            foreign_proc,
            names: Mutex::new(()),
        });
        Pool::start(&broker)?;
        Ok(broker)
    }

    /// Other rules on files from the next call on.
    pub(super) fn replace_policy(&self, policy: FsPolicy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    fn policy(&self) -> Arc<FsPolicy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    fn this(&self) -> Option<Arc<Broker>> {
        self.this.upgrade()
    }

    /// Sees one call through.
    fn serve(&self, notification: Notification) {
        let work = Work { broker: self, caller: caller::Caller::new(&self.listener, notification, self.foreign_proc) };
        let id = notification.id;
        let call = Call::of(&notification);
        match perform(&work, call).map_err(|stop| files::explain_closed_way(&work, call, stop)) {
            Ok(Effect::Value(value)) => self.listener.answer(id, Ok(value)),
            Ok(Effect::Descriptor { file, close_on_exec }) => {
                let given = self.listener.give(id, file.as_fd(), close_on_exec);
                drop(file);
                self.listener.answer(id, given);
            }
            Ok(Effect::LetGo) => self.listener.let_go(id),
            Err(Stop::Errno(errno)) => self.listener.answer(id, Err(errno)),
            Err(Stop::Denied(denial)) => {
                work.tell(&denial);
                self.listener.answer(id, Err(denial.errno));
            }
        }
    }
}

/// The one place that knows which module performs what.
fn perform(work: &Work<'_>, call: Call) -> Result<Effect, Stop> {
    // Whoever moves or links names does so alone: what was found out about a name holds until it is acted on.
    let alone = || work.broker.names.lock().unwrap_or_else(PoisonError::into_inner);
    match call {
        Call::Open { at, flags, mode } => files::open(work, at, Opening { flags, mode }),
        Call::Look { at, flags } if work.broker.spec.on_host => files::read(work, at, flags),
        Call::Look { at, flags } => files::look(work, at, flags),
        Call::MakeDirectory { at, mode } => names::make_directory(work, at, mode),
        Call::MakeNode { at, mode, device } => names::make_node(work, at, mode, device),
        Call::Remove { at, flags } => {
            let _names = alone();
            names::remove(work, at, flags)
        }
        Call::Rename { from, to, flags } => {
            let _names = alone();
            names::rename(work, from, to, flags)
        }
        Call::Link { from, to, flags } => {
            let _names = alone();
            names::link(work, from, to, flags)
        }
        Call::Symlink { text, at } => {
            let _names = alone();
            names::symlink(work, text, at)
        }
        Call::Bind { socket, address, length } => {
            let _names = alone();
            sockets::bind(work, socket, address, length)
        }
        Call::Truncate { at, length } => names::truncate(work, at, length),
        Call::Change { subject, change } => attributes::change(work, subject, change),
        Call::Connect { socket, address, length } => sockets::connect(work, socket, address, length),
        Call::SendTo { socket, data, size, flags, address, length } => {
            messages::send_to(work, socket, (data, size), flags, (address, length))
        }
        Call::SendMessage { socket, header, flags } => messages::send_message(work, socket, header, flags),
        Call::SendMessages { socket, headers, count, flags } => messages::send_messages(work, socket, headers, count, flags),
        Call::SharingClone => {
            work.broker.masks.give_up();
            Ok(Effect::LetGo)
        }
        // Limits of `init`, by the number of any of its threads, would keep it from its work. Registers hold the number, so nobody can change it any more.
        Call::Limits { process } if is_own_thread(process) => Err(work.refused(Errno::PERM, "syscall.filter").into()),
        Call::Limits { process } if work.broker.spec.on_host => within(work, process),
        Call::Limits { .. } => Ok(Effect::LetGo),
        Call::Listen { socket, backlog } => shared_network::listen(work, socket, backlog),
        Call::Schedule { thread } => within(work, thread),
        Call::Umask => {
            work.broker.masks.forget(work.caller.group().ok());
            Ok(Effect::LetGo)
        }
        Call::Refused => Err(work.refused(Errno::PERM, "syscall.filter").into()),
    }
}

/// A call about a thread of the sandbox, where the caller's numbers could mean any of the host's. The number is in a register.
fn within(work: &Work<'_>, thread: i32) -> Result<Effect, Stop> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    if thread == 0 || super::processes::is_below(thread, own) {
        return Ok(Effect::LetGo);
    }
    if std::path::Path::new(&format!("/proc/{thread}")).exists() {
        Err(work.refused(Errno::PERM, "syscall.other-process").into())
    } else {
        Err(Errno::SRCH.into())
    }
}

/// Is it a thread of this process? Asked of the kernel, whose numbers the caller means, by a signal that is none.
fn is_own_thread(number: i32) -> bool {
    let process = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: the call takes numbers.
    unsafe { super::sys::raw(libc::SYS_tgkill, [process as usize, number as usize, 0, 0, 0, 0]) }.is_ok()
}

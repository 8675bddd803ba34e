//! The one fork.
//!
//! See clone3(2), namespaces(7), pidfd_open(2).

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use rustix::io::Errno;

use super::arm::Armed;
use super::channel::Channel;
use super::init;
use super::script::MountStep;
use super::sys::{Forked, fork_into, prctl};
use crate::Fault;
use crate::proxy::Published;
use crate::unix::{MadeDirectories, Scratch, WATCHED};

/// Everything that the fork makes new. The network namespace follows in `init`, beside other work; time namespaces bring nothing here.
const NAMESPACES: i32 =
    libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;

/// A sandbox at work.
#[derive(Debug)]
pub struct Running {
    /// To and from `init`.
    pub channel: Rc<Channel>,
    /// Becomes readable when `init` has ended.
    pub init: OwnedFd,
    /// Removed when dropped, which must be after `init` has ended.
    _scratch: Scratch,
    /// Removed where they are still empty, when dropped.
    _made: MadeDirectories,
    /// Has the sandbox a network and processes of its own?
    pub namespaces: bool,
    /// Does a broker judge names?
    pub by_name: bool,
    /// Are there directories that show some of their names only?
    pub hides_names: bool,
    /// The command starts when this is closed.
    pub gate: Option<OwnedFd>,
    /// Listeners on the host for ports of the sandbox; taken when its network is served.
    pub published: Published,
    /// The program as typed, for messages.
    pub program: OsString,
}

/// Forks `init` into its namespaces, where it is to have some.
///
/// # Errors
/// More than one thread; a kernel or a host that refuses the namespaces.
pub fn spawn(armed: Armed) -> Result<Running, Fault> {
    require_one_thread()?;
    let (ours, theirs) = Channel::pair().map_err(|errno| Fault::os("make the channel to init", errno))?;
    // Blocked before the fork, so that none is lost and none ends one of the two alone. SIGCHLD is init's.
    let original_mask = block_signals()?;
    // Not init's: it closes them by number.
    let mut armed = armed;
    let published = std::mem::take(&mut armed.published);
    let namespaces = armed.script.namespaces.as_ref();
    let hides_names =
        namespaces.is_some_and(|namespaces| namespaces.mounts.steps.iter().any(|step| matches!(step, MountStep::Passage { .. })));
    let namespaces = namespaces.is_some();
    if !namespaces {
        // Should init be killed, what it leaves becomes ours to end.
        prctl(libc::PR_SET_CHILD_SUBREAPER, 1).map_err(|errno| Fault::os("adopt the processes of the sandbox", errno))?;
    }
    // SAFETY: `require_one_thread` has just seen that there is one.
    match unsafe { if namespaces { fork_into(NAMESPACES as u64) } else { fork_on_host() } } {
        Ok(Forked::Child) => {
            drop(ours);
            // A panic must not unwind into the code of the supervisor, of which this process is a copy.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| init::run(armed, theirs, &original_mask)));
            super::sys::exit_now(1)
        }
        Ok(Forked::Parent(init)) => Ok(Running {
            channel: Rc::new(ours),
            init,
            namespaces,
            by_name: armed.broker.is_some(),
            hides_names,
            published,
            gate: armed.gate.map(|gate| gate.opens),
            program: armed.script.exec.program.clone(),
            _scratch: armed.scratch,
            _made: armed.made,
        }),
        Err(errno) => Err(super::probe::explain_refusal(errno)),
    }
}

/// A fork that stays in the host's namespaces. Container engines hide clone3(2) from those whom they give no namespaces.
///
/// # Safety
/// The process has one thread.
unsafe fn fork_on_host() -> Result<Forked, Errno> {
    // SAFETY: the caller's promise.
    match unsafe { fork_into(0) } {
        Err(Errno::NOSYS) => {}
        result => return result,
    }
    // SAFETY: the caller's promise.
    match unsafe { nix::unistd::fork() }.map_err(|errno| Errno::from_raw_os_error(errno as i32))? {
        nix::unistd::ForkResult::Child => Ok(Forked::Child),
        nix::unistd::ForkResult::Parent { child } => {
            let child = rustix::process::Pid::from_raw(child.as_raw()).ok_or(Errno::CHILD)?;
            rustix::process::pidfd_open(child, rustix::process::PidfdFlags::empty()).map(Forked::Parent)
        }
    }
}

/// A fork of a process with threads leaves locks held for ever in the child.
fn require_one_thread() -> Result<(), Fault> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(|error| Fault::os("count threads", error))?.count();
    if threads == 1 {
        Ok(())
    } else {
        Err(Fault::new("start the sandbox", format_args!("the process has {threads} threads and must have one")))
    }
}

fn block_signals() -> Result<SigSet, Fault> {
    let mut watched: SigSet = WATCHED.iter().copied().collect();
    watched.add(Signal::SIGCHLD);
    let mut original = SigSet::empty();
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&watched), Some(&mut original))
        .map_err(|error| Fault::new("block signals", error.desc().to_lowercase()))?;
    Ok(original)
}

/// Makes the namespaces in a process that ends at once.
pub(super) fn trial() -> Result<(), Errno> {
    // SAFETY: the child makes one system call. Other threads, if any, can hold no lock that _exit needs.
    match unsafe { fork_into((NAMESPACES | libc::CLONE_NEWNET) as u64) }? {
        Forked::Child => super::sys::exit_now(0),
        Forked::Parent(child) => {
            let id = rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&child));
            rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED)?;
            Ok(())
        }
    }
}

/// Puts a process that ends at once under a filter with a listener; what the kernel said.
pub(super) fn try_listener() -> Result<(), Errno> {
    require_one_thread().map_err(|_| Errno::AGAIN)?;
    let allow = [seccompiler::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
    // SAFETY: `require_one_thread` has just seen that there is one.
    match unsafe { fork_into(0) }? {
        Forked::Child => {
            let confined = super::sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).and_then(|_| super::notify::install(&allow));
            super::sys::exit_now(confined.map_or_else(Errno::raw_os_error, |_| 0))
        }
        Forked::Parent(child) => {
            let id = rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&child));
            let status = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED)?;
            match status.and_then(|status| status.exit_status()) {
                Some(0) => Ok(()),
                Some(errno) => Err(Errno::from_raw_os_error(errno)),
                None => Err(Errno::CHILD),
            }
        }
    }
}

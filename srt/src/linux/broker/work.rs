//! One call in hand: the caller, the policy in force, and what the broker may do for it.

use std::sync::Arc;

use rustix::fs::Mode;
use rustix::io::Errno;

use super::super::question::{Answer, Connect, Denied, DeniedTarget, Matter};
use super::super::sys::raw;
use super::Broker;
use super::caller::Caller;
use super::resolve::Resolver;
use super::stop::{Denial, Stop, Target};
use crate::policy::FsPolicy;

/// How a call ends that was not refused.
pub(super) enum Effect {
    /// With a number.
    Value(i64),
    /// With a new descriptor.
    Descriptor {
        /// What it is of.
        file: std::os::fd::OwnedFd,
        /// `O_CLOEXEC`.
        close_on_exec: bool,
    },
    /// The kernel performs it.
    LetGo,
}

/// A call in hand.
pub(super) struct Work<'a> {
    pub(super) broker: &'a Broker,
    pub(super) caller: Caller<'a>,
}

impl Work<'_> {
    /// The rules in force now; the same for the whole call.
    pub(super) fn policy(&self) -> Arc<FsPolicy> {
        self.broker.policy()
    }

    pub(super) fn resolver(&self) -> Resolver<'_> {
        Resolver::new(&self.caller, self.broker.root())
    }

    /// New files get the caller's mask: this thread has one of its own.
    pub(super) fn take_umask(&self) -> Result<(), Errno> {
        let thread = self.caller.notification.thread;
        let mask = match self.broker.masks.of(thread) {
            Some(mask) => mask,
            None => {
                let mask = self.caller.umask()?;
                let pidfd = self.caller.pidfd()?.try_clone_to_owned().map_err(|_| Errno::NFILE)?;
                self.broker.masks.remember(thread, self.caller.owner()?, pidfd, mask);
                mask
            }
        };
        rustix::process::umask(Mode::from_bits_truncate(mask));
        Ok(())
    }

    /// Set-id modes, where the caller of srt is root: the file would be root's, for every user of the host.
    pub(super) fn refuse_set_id(&self) -> Result<(), Stop> {
        if self.broker.spec.refuse_set_id { Err(self.refused(Errno::PERM, "syscall.set-id").into()) } else { Ok(()) }
    }

    /// A denial of the call as such.
    pub(super) fn refused(&self, errno: Errno, rule: &str) -> Denial {
        let [a, b, c, ..] = self.caller.notification.arguments;
        Denial { errno, target: Target::Call([a, b, c]), rule: rule.to_owned() }
    }

    /// Runs what may take long, on this thread; another one receives meanwhile. Interrupted where the caller is gone or has a signal to take.
    ///
    /// # Errors
    /// Those of `work`; `ENFILE` where too many calls wait already.
    pub(super) fn while_blocked<T>(&self, work: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        self.broker.pool.while_blocked(self.broker, &self.caller, work)
    }

    /// Tells the supervisor of a denial, and waits until it has looked at the caller: who did it cannot be found out later.
    pub(super) fn tell(&self, denial: &Denial) {
        let target = match &denial.target {
            Target::Write(path) => DeniedTarget::Write(path.as_bytes().to_vec()),
            Target::Read(path) => DeniedTarget::Read(path.as_bytes().to_vec()),
            Target::Socket(path) => DeniedTarget::Socket(path.clone()),
            Target::Call(arguments) => DeniedTarget::Call(*arguments),
        };
        let (call, errno) = (self.caller.notification.number, denial.errno.raw_os_error());
        let denied = Denied { call, errno, target, rule: denial.rule.clone() };
        if self.broker.desk.count(self.caller.notification.thread, &denied) {
            return;
        }
        // Where it cannot be told, it stays denied.
        if let Ok(ticket) = self.put(&Matter::Denied(denied.clone())) {
            let _ = self.wait(ticket);
            self.broker.desk.was_told(self.caller.notification.thread, denied, ticket);
        }
    }

    /// May this destination be reached?
    pub(super) fn ask_to_connect(&self, connect: Connect) -> Result<Answer, Errno> {
        self.ask(&Matter::Connect(connect))
    }

    fn ask(&self, matter: &Matter) -> Result<Answer, Errno> {
        self.put(matter).and_then(|ticket| self.wait(ticket))
    }

    fn put(&self, matter: &Matter) -> Result<u64, Errno> {
        self.broker.desk.put(matter, self.caller.pidfd().ok())
    }

    fn wait(&self, ticket: u64) -> Result<Answer, Errno> {
        let answer = self.broker.pool.while_waiting(self.broker, &self.caller, |pause| self.broker.desk.wait(ticket, pause));
        self.broker.desk.forget(ticket);
        answer
    }

    /// `RLIMIT_FSIZE` of the caller, which the kernel would hold against us instead. See setrlimit(2).
    pub(super) fn respect_file_size(&self, length: u64) -> Result<(), Errno> {
        let thread = self.caller.notification.thread as usize;
        let mut limit = [0u64; 2];
        // SAFETY: the limit is an array of two words, as struct rlimit64.
        unsafe { raw(libc::SYS_prlimit64, [thread, libc::RLIMIT_FSIZE as usize, 0, limit.as_mut_ptr() as usize, 0, 0]) }?;
        if length <= limit[0] {
            return Ok(());
        }
        self.signal(libc::SIGXFSZ);
        Err(Errno::FBIG)
    }

    /// A signal that the kernel would have sent to the calling thread.
    pub(super) fn signal(&self, signal: i32) {
        if let Ok(group) = self.caller.own_group() {
            // SAFETY: the call takes numbers.
            let _ = unsafe { raw(libc::SYS_tgkill, [group as usize, self.caller.notification.thread as usize, signal as usize, 0, 0, 0]) };
        }
    }
}

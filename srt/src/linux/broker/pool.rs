//! The threads that receive calls.
//!
//! Each thread takes a call from the listener and sees it through; nothing is handed over. Most calls end at once, and one thread does them all. Before a thread does
//! what may take long (opening a FIFO, connecting, waiting for an answer), it makes sure that another one receives.
//!
//! A thread that is blocked for a caller is freed where the caller is killed or has a signal to take: a watch looks at all of them and interrupts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use rustix::io::Errno;
use rustix::thread::UnshareFlags;

use super::super::sys::raw;
use super::Broker;
use super::caller::Caller;

/// Calls that wait at once, each on a thread: more than programs have open, few enough to be no burden.
const MAX_THREADS: usize = 512;
/// Threads that may wait for the next call without one to do; the rest end.
const MAX_IDLE: usize = 2;
/// System calls and the policy, no recursion.
const STACK: usize = 128 * 1024;
/// How often blocked calls are looked at.
const PAUSE: Duration = Duration::from_millis(20);
/// Interrupts a blocked thread. Nothing else sends it to us.
const WAKE: Signal = Signal::SIGURG;
/// The kernel's own code for "again after the signal, or `EINTR`, as the handler says" (linux/errno.h). It never reaches a program: a signal is there to be taken.
const RESTART: Errno = Errno::from_raw_os_error(512);

/// Counts of threads, and who is blocked for whom.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: AtomicUsize,
    threads: AtomicUsize,
    blocked: Mutex<Blocked>,
}

#[derive(Debug, Default)]
struct Blocked {
    /// Notification → the broker's thread that works for it, and the caller's entry in `/proc`.
    calls: HashMap<u64, (i32, i32)>,
    watched: bool,
}

impl Pool {
    /// Starts receiving.
    ///
    /// # Errors
    /// No thread can be made.
    pub(super) fn start(broker: &Arc<Broker>) -> Result<(), Errno> {
        let nothing = SigAction::new(SigHandler::Handler(on_wake), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing; it exists so that a blocked call ends with EINTR.
        unsafe { nix::sys::signal::sigaction(WAKE, &nothing) }.map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
        Pool::receive_on_another(broker)
    }

    fn receive_on_another(broker: &Arc<Broker>) -> Result<(), Errno> {
        let pool = &broker.pool;
        if pool.threads.fetch_add(1, Ordering::SeqCst) >= MAX_THREADS {
            pool.threads.fetch_sub(1, Ordering::SeqCst);
            return Err(Errno::NFILE);
        }
        // Counted before it runs, so that not every blocked call starts one.
        pool.idle.fetch_add(1, Ordering::SeqCst);
        let shared = broker.clone();
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            serve(&shared);
            shared.pool.threads.fetch_sub(1, Ordering::SeqCst);
        });
        thread.map(drop).map_err(|error| {
            pool.idle.fetch_sub(1, Ordering::SeqCst);
            pool.threads.fetch_sub(1, Ordering::SeqCst);
            Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)
        })
    }

    /// See [`super::work::Work::while_blocked`].
    pub(super) fn while_blocked<T>(
        &self,
        broker: &Broker,
        caller: &Caller<'_>,
        mut work: impl FnMut() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.keep_receiving(broker)?;
        let id = caller.notification.id;
        self.watch(broker, id, caller.entry()?);
        let result = loop {
            match work() {
                Err(Errno::INTR) => {
                    if let Some(errno) = must_end(caller) {
                        break Err(errno);
                    }
                }
                result => break result,
            }
        };
        self.blocked().calls.remove(&id);
        result
    }

    /// Waits in steps for something that another thread brings.
    pub(super) fn while_waiting<T>(
        &self,
        broker: &Broker,
        caller: &Caller<'_>,
        mut wait: impl FnMut(Duration) -> Option<T>,
    ) -> Result<T, Errno> {
        self.keep_receiving(broker)?;
        loop {
            if let Some(found) = wait(PAUSE) {
                return Ok(found);
            }
            if let Some(errno) = must_end(caller) {
                return Err(errno);
            }
        }
    }

    fn keep_receiving(&self, broker: &Broker) -> Result<(), Errno> {
        match (self.idle.load(Ordering::SeqCst), broker.this()) {
            (0, Some(shared)) => Pool::receive_on_another(&shared),
            _ => Ok(()),
        }
    }

    fn watch(&self, broker: &Broker, id: u64, caller: i32) {
        let this = rustix::thread::gettid().as_raw_nonzero().get();
        let mut blocked = self.blocked();
        blocked.calls.insert(id, (this, caller));
        if let (false, Some(shared)) = (blocked.watched, broker.this()) {
            // Without a watch, a call ends when its object lets it: slower, and never wrong.
            blocked.watched = std::thread::Builder::new().stack_size(STACK).spawn(move || watch(&shared)).is_ok();
        }
    }

    fn blocked(&self) -> MutexGuard<'_, Blocked> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

extern "C" fn on_wake(_: i32) {}

/// Receives until there is nothing to receive from.
fn serve(broker: &Broker) {
    // A working directory and a mask of its own.
    // SAFETY: nothing that memory safety rests on is shared through them.
    if unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }.is_err() {
        super::super::sys::exit_now(1);
    }
    loop {
        let received = broker.listener.receive();
        broker.pool.idle.fetch_sub(1, Ordering::SeqCst);
        match received {
            Ok(notification) => broker.serve(notification),
            // The caller was killed, or it was only a signal.
            Err(Errno::INTR | Errno::NOENT | Errno::SRCH) => {}
            Err(_) => return,
        }
        if broker.pool.idle.fetch_add(1, Ordering::SeqCst) >= MAX_IDLE {
            broker.pool.idle.fetch_sub(1, Ordering::SeqCst);
            return;
        }
    }
}

/// Why a blocked call must not go on.
fn must_end(caller: &Caller<'_>) -> Option<Errno> {
    if caller.check().is_err() {
        return Some(Errno::SRCH);
    }
    caller.has_signal().then_some(RESTART)
}

/// Interrupts blocked threads whose callers are gone or have a signal, until none is blocked.
fn watch(broker: &Broker) {
    loop {
        std::thread::sleep(PAUSE);
        let mut blocked = broker.pool.blocked();
        if blocked.calls.is_empty() {
            blocked.watched = false;
            return;
        }
        let calls: Vec<_> = blocked.calls.iter().map(|(id, threads)| (*id, *threads)).collect();
        // Reading what procfs says of hundreds takes a while, in which others begin and end to be blocked.
        drop(blocked);
        for (id, (thread, caller)) in calls {
            if !broker.listener.is_waiting(id) || super::caller::has_signal(caller) {
                let process = rustix::process::getpid().as_raw_nonzero().get();
                // SAFETY: the call takes numbers.
                let _ = unsafe { raw(libc::SYS_tgkill, [process as usize, thread as usize, WAKE as usize, 0, 0, 0]) };
            }
        }
    }
}

//! Questions to the supervisor that wait for their answers.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::super::channel::{Channel, Report};
use super::super::question::{Answer, Denied, Matter};
use super::told::{Again, Told};

/// The desk: questions go out by the channel, and the thread that reads it brings the answers.
#[derive(Debug)]
pub(in crate::linux) struct Desk {
    channel: Arc<Channel>,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Option<Answer>>>,
    answered: Condvar,
    told: Mutex<Told>,
}

impl Desk {
    pub(in crate::linux) fn new(channel: Arc<Channel>) -> Self {
        Desk { channel, next: AtomicU64::new(1), open: Mutex::default(), answered: Condvar::new(), told: Mutex::default() }
    }

    /// Sends a question; its number.
    ///
    /// # Errors
    /// As sendmsg(2): the supervisor is gone.
    pub(super) fn put(&self, matter: &Matter, process: Option<BorrowedFd<'_>>) -> Result<u64, Errno> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(ticket, None);
        let sent = self.channel.report(&Report::Question { ticket, matter: matter.clone() }, process.as_slice());
        sent.inspect_err(|_| self.forget(ticket))?;
        Ok(ticket)
    }

    /// Counts a denial where the same was told a moment ago.
    pub(super) fn count(&self, thread: i32, denied: &Denied) -> bool {
        self.told().count(thread, denied, Instant::now())
    }

    /// A denial that was told under this number stands for more of the same.
    pub(super) fn was_told(&self, thread: i32, denied: Denied, ticket: u64) {
        let over = self.told().add(thread, denied, ticket, Instant::now());
        self.tell_again(&over);
    }

    /// Tells everything that was only counted: the run ends.
    pub(in crate::linux) fn finish(&self) {
        let counted = self.told().finish();
        self.tell_again(&counted);
    }

    fn tell_again(&self, counted: &[Again]) {
        for Again { ticket, count } in counted {
            // The supervisor is gone, and nobody left to be told.
            let _ = self.channel.report(&Report::Again { ticket: *ticket, count: *count }, &[]);
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer that came.
    pub(in crate::linux) fn answer(&self, ticket: u64, answer: Answer) {
        if let Some(waiting) = self.open().get_mut(&ticket) {
            *waiting = Some(answer);
        }
        self.answered.notify_all();
    }

    /// Waits for an answer, at most so long.
    pub(super) fn wait(&self, ticket: u64, pause: Duration) -> Option<Answer> {
        let waiting = |open: &mut HashMap<u64, Option<Answer>>| open.get(&ticket).is_some_and(Option::is_none);
        let (open, _) = self.answered.wait_timeout_while(self.open(), pause, waiting).unwrap_or_else(PoisonError::into_inner);
        open.get(&ticket).copied().flatten()
    }

    /// Nobody waits for it any more.
    pub(super) fn forget(&self, ticket: u64) {
        self.open().remove(&ticket);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Option<Answer>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Questions to the supervisor that wait for their answers.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use super::super::channel::{Channel, Report};
use super::super::question::{Answer, Matter};

/// The desk: questions go out by the channel, and the thread that reads it brings the answers.
#[derive(Debug)]
pub(in crate::linux) struct Desk {
    channel: Arc<Channel>,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Option<Answer>>>,
    answered: Condvar,
}

impl Desk {
    pub(in crate::linux) fn new(channel: Arc<Channel>) -> Self {
        Desk { channel, next: AtomicU64::new(1), open: Mutex::default(), answered: Condvar::new() }
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

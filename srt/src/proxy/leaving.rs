//! Bytes on their way out of the sandbox.
//!
//! A program may write and end. Outside a sandbox the kernel delivers what was written; here the bytes may still lie between two sockets of ours, so the supervisor
//! waits for them before it ends too. What comes in has nobody left to read it.

use std::cell::Cell;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::limits;

/// How many ways out have not come to their end.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    open: Cell<usize>,
    closed: Notify,
}

/// One way out; it ends when this is dropped.
pub(super) struct WayOut<'a>(&'a Leaving);

impl Leaving {
    /// Begins one.
    pub(super) fn begin(&self) -> WayOut<'_> {
        self.open.set(self.open.get() + 1);
        WayOut(self)
    }

    /// Waits until all have ended, for a bounded time. Every program of the sandbox must have ended before: its sockets have, then, too.
    pub(super) async fn ended(&self) {
        let wait = async {
            while self.open.get() > 0 {
                self.closed.notified().await;
            }
        };
        // A host that takes nothing does not keep anybody from going on.
        let _given_up = timeout(limits::LEAVING, wait).await;
    }
}

impl Drop for WayOut<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.closed.notify_one();
    }
}

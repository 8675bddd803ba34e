//! The mask for modes of new files, remembered.
//!
//! Only procfs tells a thread's mask, and takes longer to do so than everything else together. It changes by umask(2) alone, which the filter therefore shows to the broker: each
//! such call makes what is remembered void. A number may be given to another thread, so a thread is remembered with a descriptor of it, which tells whether it still lives.
//!
//! The call takes effect after it was shown. A thread that shares the mask could be asked about in between, so processes that have called it are remembered only while they
//! have one thread.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec};

/// Threads remembered at once; each takes a descriptor.
const MOST: usize = 64;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Masks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    threads: HashMap<i32, (OwnedFd, u32)>,
    /// Thread groups that have called umask(2). Numbers that are used again only cost time.
    changed: HashSet<i32>,
    /// Some process shares its mask with another (`CLONE_FS`).
    shared: bool,
}

impl Masks {
    /// The mask of a thread that is waiting in a call now.
    pub(super) fn of(&self, thread: i32) -> Option<u32> {
        let mut known = self.known();
        let (pidfd, mask) = known.threads.get(&thread)?;
        if lives(pidfd) {
            return Some(*mask);
        }
        known.threads.remove(&thread);
        None
    }

    /// Remembers one, in the place of all where there are too many.
    pub(super) fn remember(&self, thread: i32, owner: Owner, pidfd: OwnedFd, mask: u32) {
        let mut known = self.known();
        if known.shared || !owner.alone && known.changed.contains(&owner.group) {
            return;
        }
        if known.threads.len() >= MOST {
            known.threads.clear();
        }
        known.threads.insert(thread, (pidfd, mask));
    }

    /// From now on processes share masks, so that nobody's can be remembered.
    pub(super) fn give_up(&self) {
        let mut known = self.known();
        known.threads.clear();
        known.shared = true;
    }

    /// A thread of this group is about to call umask(2), which is named where it can be told.
    pub(super) fn forget(&self, group: Option<i32>) {
        let mut known = self.known();
        known.threads.clear();
        known.changed.extend(group);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose mask it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    /// The thread group.
    pub(super) group: i32,
    /// It has one thread.
    pub(super) alone: bool,
}

/// A descriptor of a process becomes readable when that ends (pidfd_open(2)).
fn lives(pidfd: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut asked = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    rustix::event::poll(&mut asked, Some(&now)) == Ok(0)
}

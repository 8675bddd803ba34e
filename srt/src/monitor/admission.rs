//! How many connections one user may have.
//!
//! What a client costs is bounded elsewhere; here, how often it costs that. Root is not limited: nobody else can keep root out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections of one user: a run each, and some watchers.
const OF_ONE: usize = 512;
/// Connections of all users but root; lower where descriptors are few.
const OF_ALL: usize = 4096;
/// Watchers of one user.
const WATCHERS_OF_ONE: usize = 16;
/// Descriptors for everything but connections.
const OTHER_DESCRIPTORS: usize = 128;

/// The book of who is here.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    most: usize,
    here: Arc<Mutex<HashMap<(u32, Role), usize>>>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Connection,
    Watcher,
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    key: (u32, Role),
    admission: Admission,
}

impl Admission {
    /// For a process that may have so many descriptors; a run takes two.
    pub(super) fn new(descriptors: usize) -> Admission {
        Admission { most: (descriptors.saturating_sub(OTHER_DESCRIPTORS) / 2).clamp(16, OF_ALL), here: Arc::default() }
    }

    /// A place for a user; `None` where he has as many as he may, or there is none left.
    pub(super) fn admit(&self, uid: u32, role: Role) -> Option<Slot> {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (uid, role);
        let limit = if role == Role::Watcher { WATCHERS_OF_ONE } else { OF_ONE };
        let of_all: usize = here.iter().filter(|((uid, counted), _)| *uid != 0 && *counted == role).map(|(_, count)| count).sum();
        let of_one = here.get(&key).copied().unwrap_or_default();
        if uid != 0 && (of_one >= limit || of_all >= self.most) {
            return None;
        }
        here.insert(key, of_one + 1);
        Some(Slot { key, admission: self.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut here = self.admission.here.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = here.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                here.remove(&self.key);
            }
        }
    }
}

/// Raises the soft limit of open descriptors to the hard one, as far as it is of use; how many there may be.
pub(super) fn raise_descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let useful = (2 * OF_ALL + OTHER_DESCRIPTORS) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(useful, |maximum| maximum.min(useful));
    let has = match current {
        Some(current) if current < wanted => {
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).map_or(current, |()| wanted)
        }
        Some(current) => current,
        None => useful,
    };
    usize::try_from(has).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_takes_no_place_of_another_and_places_come_back() {
        let admission = Admission::new(10_000);
        let mut slots: Vec<Slot> = std::iter::from_fn(|| admission.admit(1000, Role::Connection)).collect();
        assert_eq!(slots.len(), OF_ONE);
        assert!(admission.admit(1001, Role::Connection).is_some());
        assert!(admission.admit(1000, Role::Watcher).is_some());
        slots.pop();
        assert!(admission.admit(1000, Role::Connection).is_some());
    }

    #[test]
    fn many_users_together_leave_room_for_root() {
        let admission = Admission::new(0);
        let slots: Vec<Slot> = (1000..2000).map_while(|uid| admission.admit(uid, Role::Connection)).collect();
        assert_eq!(slots.len(), 16);
        assert!(admission.admit(0, Role::Connection).is_some());
        drop(slots);
        assert!(admission.here.lock().unwrap().is_empty(), "nothing is kept of who has gone");
    }
}

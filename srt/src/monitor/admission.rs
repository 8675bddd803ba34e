//! How many connections there may be.
//!
//! What a client costs is bounded elsewhere; here, how often it costs that. Root is not limited: nobody else can keep root out.

use super::share::{Pool, Share, Short};

/// Connections of one user: a run each, and some watchers.
const OF_ONE: usize = 256;
/// Connections of all users but root; lower where descriptors are few.
const OF_ALL: usize = 2048;
/// Watchers of one user, and of all.
const WATCHERS_OF_ONE: usize = 16;
const WATCHERS_OF_ALL: usize = 64;
/// Descriptors for everything but connections: what is looked at, and what waits to be closed.
const OTHER_DESCRIPTORS: usize = 256;

/// Who is let in.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    connections: Pool,
    watchers: Pool,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Connection,
    Watcher,
}

/// One place, given back when it is dropped. Root's are not counted.
#[derive(Debug)]
pub(super) struct Slot {
    _share: Option<Share>,
}

impl Admission {
    /// For a process that may have so many descriptors; a run takes two.
    pub(super) fn new(descriptors: usize) -> Admission {
        let most = (descriptors.saturating_sub(OTHER_DESCRIPTORS) / 2).clamp(16, OF_ALL);
        Admission { connections: Pool::new(most, OF_ONE), watchers: Pool::new(WATCHERS_OF_ALL, WATCHERS_OF_ONE) }
    }

    /// A place for a user; where there is none, why.
    pub(super) fn admit(&self, uid: u32, role: Role) -> Result<Slot, &'static str> {
        if uid == 0 {
            return Ok(Slot { _share: None });
        }
        let pool = if role == Role::Watcher { &self.watchers } else { &self.connections };
        let share = pool.share(uid, 1).map_err(|short| match (role, short) {
            (Role::Connection, Short::OfOne) => "this user has as many connections as one may have",
            (Role::Connection, Short::OfAll) => "so many are connected that this user can have no more connections now",
            (Role::Watcher, Short::OfOne) => "this user watches as often as one may",
            (Role::Watcher, Short::OfAll) => "so many watch that this user can watch no more now",
        })?;
        Ok(Slot { _share: Some(share) })
    }
}

/// Raises the soft limit of open descriptors to the hard one, as far as it is of use; how many there may be.
pub(super) fn raise_descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Root's connections are not counted among those.
    let useful = (4 * OF_ALL + OTHER_DESCRIPTORS / 2) as u64;
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
        let mut slots: Vec<Slot> = std::iter::from_fn(|| admission.admit(1000, Role::Connection).ok()).collect();
        assert_eq!(slots.len(), OF_ONE);
        assert!(admission.admit(1001, Role::Connection).is_ok());
        assert!(admission.admit(1000, Role::Watcher).is_ok());
        slots.pop();
        assert!(admission.admit(1000, Role::Connection).is_ok());
    }

    #[test]
    fn many_users_together_leave_room_for_root_and_for_one_who_comes_first() {
        let admission = Admission::new(10_000);
        let slots: Vec<Slot> =
            (1000..1080).flat_map(|uid| std::iter::from_fn(|| admission.admit(uid, Role::Connection).ok()).collect::<Vec<_>>()).collect();
        assert!(slots.len() < OF_ALL, "{}", slots.len());
        assert!(admission.admit(2000, Role::Connection).is_ok());
        assert!(admission.admit(0, Role::Connection).is_ok());
    }
}

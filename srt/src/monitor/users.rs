//! Each user's turn.
//!
//! The connections of one user are served one after another, so that many of them have no more of the service's time than one; and what one user may say in a time is counted for all of them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Bytes that the runs of a user may say at once, and how many more each second: more than honest runs have to say, for a run says the same thing once.
const AT_ONCE: f64 = (2 << 20) as f64;
const A_SECOND: f64 = (512 << 10) as f64;
/// What a line costs at the least.
const LEAST: usize = 256;
/// Strange descriptors that are open at a time, of all users but root.
const STRANGE: usize = 48;
/// Users that are remembered before those who have gone are forgotten.
const REMEMBERED: usize = 256;

/// Those who are here, or were just now.
#[derive(Debug)]
pub(super) struct Users {
    by_id: RefCell<HashMap<u32, Rc<User>>>,
    strange: Arc<Semaphore>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct User {
    turn: Semaphore,
    budget: Cell<Budget>,
    /// One descriptor of his is looked at at a time.
    look: Arc<Semaphore>,
    /// Of all users; root has no part in it.
    strange: Option<Arc<Semaphore>>,
}

/// The right to have a descriptor open that may be anything.
#[derive(Debug)]
pub(super) struct Look {
    _own: OwnedSemaphorePermit,
    _of_all: Option<OwnedSemaphorePermit>,
}

/// The turn of one connection.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    user: &'a User,
    _permit: SemaphorePermit<'a>,
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    left: f64,
    since: Instant,
}

impl Default for Users {
    fn default() -> Self {
        Users { by_id: RefCell::default(), strange: Arc::new(Semaphore::new(STRANGE)) }
    }
}

impl Users {
    /// What all connections of this user share.
    pub(super) fn get(&self, uid: u32) -> Rc<User> {
        let mut users = self.by_id.borrow_mut();
        if users.len() >= REMEMBERED && !users.contains_key(&uid) {
            users.retain(|_, user| user.is_remembered());
        }
        let strange = (uid != 0).then(|| self.strange.clone());
        users.entry(uid).or_insert_with(|| Rc::new(User::new(strange))).clone()
    }
}

impl User {
    fn new(strange: Option<Arc<Semaphore>>) -> User {
        let budget = Cell::new(Budget { left: AT_ONCE, since: Instant::now() });
        User { turn: Semaphore::new(1), budget, look: Arc::new(Semaphore::new(1)), strange }
    }

    /// Is he here, or is there something that must not be forgotten by going and coming again?
    fn is_remembered(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) > 1 || self.look.available_permits() == 0 || self.refilled().left < AT_ONCE
    }

    /// Waits until it is this connection's turn among those of the user.
    pub(super) async fn turn(&self) -> Option<Turn<'_>> {
        let permit = self.turn.acquire().await.ok()?;
        Some(Turn { user: self, _permit: permit })
    }

    /// Waits until a descriptor of this user may be looked at.
    pub(super) async fn look(&self) -> Option<Look> {
        let own = self.look.clone().acquire_owned().await.ok()?;
        let of_all = match &self.strange {
            Some(strange) => Some(strange.clone().acquire_owned().await.ok()?),
            None => None,
        };
        Some(Look { _own: own, _of_all: of_all })
    }

    fn refilled(&self) -> Budget {
        let (now, budget) = (Instant::now(), self.budget.get());
        let more = now.duration_since(budget.since).as_secs_f64() * A_SECOND;
        Budget { left: (budget.left + more).min(AT_ONCE), since: now }
    }

    /// How long to wait after so much was said.
    fn spend(&self, cost: usize) -> Option<Duration> {
        let mut budget = self.refilled();
        budget.left -= cost as f64;
        self.budget.set(budget);
        (budget.left < 0.0).then(|| Duration::from_secs_f64(-budget.left / A_SECOND))
    }
}

impl Turn<'_> {
    /// What it costs to hear a packet of so many bytes.
    pub(super) fn cost(bytes: usize) -> usize {
        bytes.max(LEAST)
    }

    /// Ends the turn; only when what was said has been paid for is it another's, or this one's again.
    pub(super) async fn end(self, cost: usize) {
        match self.user.spend(cost) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => tokio::task::yield_now().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_says_is_counted_for_all_his_connections_and_not_forgotten_when_they_end() {
        let users = Users::default();
        let wait = || users.get(1).spend(AT_ONCE as usize / 2);
        assert_eq!((wait(), users.get(2).spend(1)), (None, None));
        assert_eq!(users.get(2).spend(AT_ONCE as usize / 2), None);
        wait();
        assert!(wait().is_some_and(|wait| wait > Duration::from_secs(1)), "half as much again takes two seconds");
        for uid in 10..10 + 3 * REMEMBERED as u32 {
            users.get(uid);
        }
        assert!(users.by_id.borrow().len() <= REMEMBERED + 1, "who said nothing is forgotten");
        assert!(wait().is_some(), "who said much is not");
    }

    #[tokio::test]
    async fn one_connection_of_a_user_at_a_time_and_another_user_waits_for_none() {
        let users = Users::default();
        let (one, other) = (users.get(1), users.get(2));
        let turn = one.turn().await.unwrap();
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, one.turn()).await.is_err());
        assert!(tokio::time::timeout(soon, other.turn()).await.is_ok());
        turn.end(1).await;
        assert!(tokio::time::timeout(soon, one.turn()).await.is_ok());
        let look = one.look().await;
        assert!(tokio::time::timeout(soon, one.look()).await.is_err());
        assert!(tokio::time::timeout(soon, other.look()).await.is_ok());
        drop(look);
        assert!(tokio::time::timeout(soon, one.look()).await.is_ok());
    }

    #[tokio::test]
    async fn root_looks_also_where_all_others_are_held_up() {
        let users = Users::default();
        let mut looks = Vec::new();
        for uid in 1..=STRANGE as u32 {
            looks.push(users.get(uid).look().await);
        }
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, users.get(1000).look()).await.is_err());
        assert!(tokio::time::timeout(soon, users.get(0).look()).await.is_ok());
    }
}

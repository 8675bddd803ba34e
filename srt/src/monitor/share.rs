//! What all users draw on: places, and memory.
//!
//! The first half is for whoever asks first. Of the rest nobody gets more than a small part of what is still free, for users are cheap: one who has subordinate ids is sixty-five thousand of them
//! (subuid(5)). It takes more than a hundred who want all they can get until there is nothing left for one who has nothing yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Where half is taken: which part of what is free a user may have.
const PART: usize = 32;

/// So much, for all users together.
#[derive(Clone, Debug)]
pub(super) struct Pool(Arc<Pot>);

#[derive(Debug)]
struct Pot {
    most: usize,
    of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    by_user: HashMap<u32, usize>,
    all: usize,
}

/// What one user took, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    pool: Pool,
    uid: u32,
    amount: usize,
}

/// Why there is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// This user has as much as anybody may have.
    OfOne,
    /// All together have so much that he may have no more.
    OfAll,
}

impl Pool {
    /// At most so much for all, and for each of them.
    pub(super) fn new(most: usize, of_one: usize) -> Pool {
        Pool(Arc::new(Pot { most, of_one, taken: Mutex::default() }))
    }

    /// Takes so much for a user.
    pub(super) fn share(&self, uid: u32, amount: usize) -> Result<Share, Short> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let has = taken.by_user.get(&uid).copied().unwrap_or_default();
        let (wanted, free) = (has.saturating_add(amount), self.0.most - taken.all);
        if wanted > self.0.of_one {
            return Err(Short::OfOne);
        }
        let is_scarce = free.saturating_sub(amount) < self.0.most / 2;
        if amount > free || is_scarce && has > 0 && wanted > free / PART {
            return Err(Short::OfAll);
        }
        taken.all += amount;
        taken.by_user.insert(uid, wanted);
        Ok(Share { pool: self.clone(), uid, amount })
    }

    /// What is taken now.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.0.taken.lock().unwrap().all
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.pool.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= self.amount;
        if let Some(has) = taken.by_user.get_mut(&self.uid) {
            *has -= self.amount;
            if *has == 0 {
                taken.by_user.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all that a user gets.
    fn greedy(pool: &Pool, uid: u32) -> Vec<Share> {
        std::iter::from_fn(|| pool.share(uid, 1).ok()).collect()
    }

    #[test]
    fn greedy_users_leave_something_for_one_who_has_nothing() {
        let pool = Pool::new(2048, 256);
        let taken: Vec<Vec<Share>> = (0..100).map(|uid| greedy(&pool, uid)).collect();
        assert_eq!(taken[3].len(), 256, "half of it is for whoever comes first");
        assert!(taken[4].len() < 40, "{}", taken[4].len());
        for uid in 100..110 {
            assert!(pool.share(uid, 1).is_ok(), "{} are taken", pool.taken());
        }
    }

    #[test]
    fn there_is_never_more_than_there_is() {
        let pool = Pool::new(100, 100);
        let taken: Vec<Vec<Share>> = (0..1000).map(|uid| greedy(&pool, uid)).collect();
        assert_eq!((taken.iter().map(Vec::len).sum::<usize>(), pool.taken()), (100, 100));
        assert_eq!(pool.share(1, 1).unwrap_err(), Short::OfAll);
    }

    #[test]
    fn nobody_has_more_than_one_may_and_what_goes_comes_back() {
        let pool = Pool::new(1000, 10);
        let share = pool.share(1, 10).unwrap();
        assert_eq!(pool.share(1, 1).unwrap_err(), Short::OfOne);
        drop(share);
        assert!(pool.share(1, 10).is_ok());
        assert_eq!(Pool::new(4, 10).share(1, 5).unwrap_err(), Short::OfAll);
        assert!(pool.0.taken.lock().unwrap().by_user.is_empty(), "nothing is kept of who has gone");
    }
}

//! The processes of a run, and their end.
//!
//! macOS has no namespace that would take them along. Those that are left when the command or srt ends are found one by one, by the mark of their sandbox, and killed
//! until none is found any more.

use std::time::Duration;

use super::RunTag;

/// What the processes of a run are known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The mark of their sandbox.
    pub run: RunTag,
    /// The command, while it runs.
    pub command: Option<i32>,
}

/// Looks until processes that go on appearing are given up: they fork faster than they can be found.
const LOOKS: u32 = 400;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// So many looks in a row must find nothing: one may come between a fork and its appearance in the list.
const QUIET: u32 = 2;

/// Kills everything that `find` finds, until it finds nothing. False where something is still there.
pub(super) fn end(mut find: impl FnMut() -> Vec<i32>, mut kill: impl FnMut(i32), mut pause: impl FnMut(Duration)) -> bool {
    let mut quiet = 0;
    for _ in 0..LOOKS {
        let found = find();
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        if quiet == QUIET {
            return true;
        }
        found.into_iter().for_each(&mut kill);
        pause(PAUSE);
    }
    false
}

/// The processes below `root`, without it, of a list of processes with their parents. An orphan is nobody's descendant any more.
pub fn descendants(processes: &[(i32, i32)], root: i32) -> Vec<i32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = processes.iter().filter(|(id, of)| *of == parent && !found.contains(id)).map(|(id, _)| *id).collect::<Vec<_>>();
        found.extend(children);
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn descendants_are_found_through_any_number_of_generations_and_no_others_are() {
        let processes = [(1, 0), (10, 1), (11, 10), (12, 11), (13, 10), (20, 1), (21, 20), (30, 30)];
        assert_eq!(descendants(&processes, 10), [11, 13, 12]);
        assert_eq!(descendants(&processes, 30), [] as [i32; 0], "its own parent");
        assert_eq!(descendants(&processes, 99), [] as [i32; 0]);
    }

    #[test]
    fn processes_are_killed_until_none_appears_any_more() {
        let alive = RefCell::new(vec![5, 6]);
        let mut forks = 3;
        let kill = |id| {
            alive.borrow_mut().retain(|other| *other != id);
            if forks > 0 {
                forks -= 1;
                alive.borrow_mut().push(100 + forks);
            }
        };
        assert!(end(|| alive.borrow().clone(), kill, |_| {}));
        assert!(alive.borrow().is_empty());
    }

    #[test]
    fn what_cannot_be_killed_is_given_up_in_bounded_time() {
        let mut waited = Duration::ZERO;
        assert!(!end(|| vec![5], |_| {}, |pause| waited += pause));
        assert!(waited < Duration::from_secs(10));
    }
}

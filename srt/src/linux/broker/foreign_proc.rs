//! Threads under a procfs that numbers processes otherwise than this pid namespace: the one of a container that refuses a new procfs
//! (`enableWeakerNestedSandbox`).
//!
//! Calls take this namespace's numbers, and names below `/proc` are made of the other ones. A pidfd leads from the former to the latter.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

/// The leader of a thread's group, both in this namespace's numbers. Wanted below Linux 6.9, where only a leader has a pidfd.
///
/// A leader was there before its threads, so its number is a lower one; after the numbers have started again from the bottom it may not be, and none is found.
pub(super) fn leader(thread: i32) -> Option<i32> {
    (1..=thread).rev().find(|group| is_thread_of(*group, thread))
}

/// Is it a thread of this group? Asked of the kernel by a signal that is none.
pub(super) fn is_thread_of(group: i32, thread: i32) -> bool {
    // SAFETY: the call takes numbers.
    let asked = unsafe { super::super::sys::raw(libc::SYS_tgkill, [group as usize, thread as usize, 0, 0, 0, 0]) };
    asked != Err(Errno::SRCH)
}

/// The number of a thread's entry in `/proc`; `pidfd` is its own, or that of its group.
///
/// # Errors
/// `ESRCH` where it is gone.
pub(super) fn entry(thread: i32, pidfd: BorrowedFd<'_>) -> Result<i32, Errno> {
    // The kernel tells it in the numbers of the procfs that is asked (pidfd_open(2)).
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).map_err(|_| Errno::SRCH)?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|number| number.trim().parse().ok());
    let number = number.filter(|number| *number > 0).ok_or(Errno::SRCH)?;
    if own_number(number) == Some(thread) {
        return Ok(number);
    }
    let tasks = std::fs::read_dir(format!("/proc/{number}/task")).map_err(|_| Errno::SRCH)?;
    let mut numbers = tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok());
    numbers.find(|task| own_number(*task) == Some(thread)).ok_or(Errno::SRCH)
}

/// The number of a thread in its own namespace, by that of its entry.
fn own_number(entry: i32) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{entry}/status")).ok()?;
    innermost(&text, "NSpid:")
}

/// Of the numbers that a field of proc_pid_status(5) gives, one for each pid namespace, that of the innermost.
pub(super) fn innermost(status: &str, field: &str) -> Option<i32> {
    status.lines().find_map(|line| line.strip_prefix(field))?.rsplit('\t').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::process::{PidfdFlags, getpid, pidfd_open};

    use super::{entry, innermost, is_thread_of, leader};

    #[test]
    fn a_thread_is_found_through_its_leader() {
        let own = getpid();
        let pidfd = pidfd_open(own, PidfdFlags::empty()).unwrap();
        let (thread, found, its_entry) = std::thread::spawn(move || {
            let name = std::fs::read_link("/proc/thread-self").unwrap();
            let thread = name.file_name().unwrap().to_str().unwrap().parse().unwrap();
            (thread, leader(thread), entry(thread, pidfd.as_fd()))
        })
        .join()
        .unwrap();
        let own = own.as_raw_nonzero().get();
        assert_ne!(thread, own);
        assert_eq!((found, its_entry), (Some(own), Ok(thread)));
        assert_eq!(leader(own), Some(own));
        assert!(is_thread_of(own, own) && !is_thread_of(1, own));
    }

    #[test]
    fn the_innermost_number_is_the_last() {
        assert_eq!(innermost("Name:\tx\nNSpid:\t4711\t12\t3\nNSpgid:\t1\n", "NSpid:"), Some(3));
        assert_eq!(innermost("NSpid:\t4711\n", "NSpid:"), Some(4711));
        assert_eq!(innermost("NSpid:\t\n", "NSpid:"), None);
    }
}

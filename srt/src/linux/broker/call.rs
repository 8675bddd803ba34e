//! Which call was made, from its number and registers. Pure.
//!
//! Pointers stay numbers here: what they lead to is read once, by [`super::caller`].

use super::super::notify::Notification;
use super::super::seccomp::{IOPRIO_WHO_PROCESS, NAMESPACE_FLAGS};

/// A path argument: where it starts, and where its text is in the caller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathAt {
    /// A descriptor of the caller, or `AT_FDCWD`.
    pub(super) directory: i32,
    /// Address of the text.
    pub(super) text: u64,
}

/// What a metadata call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A path; `flags` are `AT_SYMLINK_NOFOLLOW` and `AT_EMPTY_PATH`.
    Path { at: PathAt, flags: i32 },
    /// A descriptor of the caller.
    Descriptor(i32),
}

/// Layouts in which times come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeFormat {
    /// Two `timespec`.
    Nanoseconds,
    /// Two `timeval`.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the calls that take it are older than other architectures"))]
    Microseconds,
    /// A `utimbuf`.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the calls that take it are older than other architectures"))]
    Seconds,
}

/// What a metadata call changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Mode bits.
    Mode(u32),
    /// Owner and group; -1 leaves one as it is.
    Owner(u32, u32),
    /// Access and modification time, at an address; 0: now.
    Times(u64, TimeFormat),
    /// An extended attribute.
    SetAttribute { name: u64, value: u64, size: u64, flags: i32 },
    /// Takes one away.
    RemoveAttribute { name: u64 },
}

/// A call that the broker performs, or refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// open(2) with write intent.
    Open { at: PathAt, flags: i32, mode: u32 },
    /// open(2) for reading. Where mounts hide what may not be read, it is only observed.
    Look { at: PathAt, flags: i32 },
    /// mkdir(2).
    MakeDirectory { at: PathAt, mode: u32 },
    /// mknod(2).
    MakeNode { at: PathAt, mode: u32, device: u64 },
    /// unlink(2), rmdir(2).
    Remove { at: PathAt, flags: i32 },
    /// rename(2).
    Rename { from: PathAt, to: PathAt, flags: u32 },
    /// link(2).
    Link { from: PathAt, to: PathAt, flags: i32 },
    /// symlink(2).
    Symlink { text: u64, at: PathAt },
    /// truncate(2).
    Truncate { at: PathAt, length: u64 },
    /// chmod(2), chown(2), utimensat(2), setxattr(2) and their relatives.
    Change { subject: Subject, change: Change },
    /// connect(2).
    Connect { socket: i32, address: u64, length: u64 },
    /// bind(2).
    Bind { socket: i32, address: u64, length: u64 },
    /// sendto(2) with an address.
    SendTo { socket: i32, data: u64, size: u64, flags: i32, address: u64, length: u64 },
    /// sendmsg(2).
    SendMessage { socket: i32, header: u64, flags: i32 },
    /// sendmmsg(2).
    SendMessages { socket: i32, headers: u64, count: u32, flags: i32 },
    /// clone(2) of a process that shares its working directory and mask: observed.
    SharingClone,
    /// prlimit(2) of a process by its number.
    Limits { process: i32 },
    /// listen(2).
    Listen { socket: i32, backlog: i32 },
    /// How a thread, by its number, is given a processor or a disk: sched_setscheduler(2), setpriority(2) and their relatives.
    Schedule { thread: i32 },
    /// umask(2): observed.
    Umask,
    /// Anything else that the filter sends: it is refused.
    Refused,
}

impl Call {
    /// Reads a notification. The kernel takes `int` arguments from the low half of a register.
    pub(super) fn of(notification: &Notification) -> Call {
        let a = notification.arguments;
        let int = |index: usize| a[index] as i32;
        let word = |index: usize| a[index] as u32;
        let here = |index: usize| PathAt { directory: libc::AT_FDCWD, text: a[index] };
        let at = |directory: usize, text: usize| PathAt { directory: a[directory] as i32, text: a[text] };
        let follow = |index: usize| Subject::Path { at: here(index), flags: 0 };
        let no_follow = |index: usize| Subject::Path { at: here(index), flags: libc::AT_SYMLINK_NOFOLLOW };
        let change = |subject: Subject, change: Change| Call::Change { subject, change };
        let set = Change::SetAttribute { name: a[1], value: a[2], size: a[3], flags: int(4) };
        let remove = Change::RemoveAttribute { name: a[1] };
        match notification.number {
            libc::SYS_openat => open(at(0, 1), int(2), word(3)),
            libc::SYS_mkdirat => Call::MakeDirectory { at: at(0, 1), mode: word(2) },
            libc::SYS_mknodat => Call::MakeNode { at: at(0, 1), mode: word(2), device: a[3] },
            libc::SYS_unlinkat => Call::Remove { at: at(0, 1), flags: int(2) },
            libc::SYS_renameat => Call::Rename { from: at(0, 1), to: at(2, 3), flags: 0 },
            libc::SYS_renameat2 => Call::Rename { from: at(0, 1), to: at(2, 3), flags: word(4) },
            libc::SYS_linkat => Call::Link { from: at(0, 1), to: at(2, 3), flags: int(4) },
            libc::SYS_symlinkat => Call::Symlink { text: a[0], at: at(1, 2) },
            libc::SYS_truncate => Call::Truncate { at: here(0), length: a[1] },
            libc::SYS_fchmod => change(Subject::Descriptor(int(0)), Change::Mode(word(1))),
            libc::SYS_fchmodat => change(Subject::Path { at: at(0, 1), flags: 0 }, Change::Mode(word(2))),
            SYS_FCHMODAT2 => change(Subject::Path { at: at(0, 1), flags: int(3) }, Change::Mode(word(2))),
            libc::SYS_fchown => change(Subject::Descriptor(int(0)), Change::Owner(word(1), word(2))),
            libc::SYS_fchownat => change(Subject::Path { at: at(0, 1), flags: int(4) }, Change::Owner(word(2), word(3))),
            libc::SYS_utimensat if a[1] == 0 => change(Subject::Descriptor(int(0)), Change::Times(a[2], TimeFormat::Nanoseconds)),
            libc::SYS_utimensat => change(Subject::Path { at: at(0, 1), flags: int(3) }, Change::Times(a[2], TimeFormat::Nanoseconds)),
            libc::SYS_setxattr => change(follow(0), set),
            libc::SYS_lsetxattr => change(no_follow(0), set),
            libc::SYS_fsetxattr => change(Subject::Descriptor(int(0)), set),
            libc::SYS_removexattr => change(follow(0), remove),
            libc::SYS_lremovexattr => change(no_follow(0), remove),
            libc::SYS_fremovexattr => change(Subject::Descriptor(int(0)), remove),
            libc::SYS_connect => Call::Connect { socket: int(0), address: a[1], length: a[2] },
            libc::SYS_bind => Call::Bind { socket: int(0), address: a[1], length: a[2] },
            libc::SYS_sendto => Call::SendTo { socket: int(0), data: a[1], size: a[2], flags: int(3), address: a[4], length: a[5] },
            libc::SYS_sendmsg => Call::SendMessage { socket: int(0), header: a[1], flags: int(2) },
            libc::SYS_sendmmsg => Call::SendMessages { socket: int(0), headers: a[1], count: word(2), flags: int(3) },
            libc::SYS_umask => Call::Umask,
            libc::SYS_clone if word(0) & NAMESPACE_FLAGS == 0 => Call::SharingClone,
            libc::SYS_prlimit64 => Call::Limits { process: int(0) },
            libc::SYS_listen => Call::Listen { socket: int(0), backlog: int(1) },
            libc::SYS_sched_setaffinity | libc::SYS_sched_setparam | libc::SYS_sched_setscheduler | libc::SYS_sched_setattr => {
                Call::Schedule { thread: int(0) }
            }
            libc::SYS_setpriority if word(0) == libc::PRIO_PROCESS => Call::Schedule { thread: int(1) },
            libc::SYS_ioprio_set if word(0) == IOPRIO_WHO_PROCESS => Call::Schedule { thread: int(1) },
            number => legacy(number, a).unwrap_or(Call::Refused),
        }
    }
}

impl Call {
    /// The paths that it is about, where it would change something.
    pub(super) fn changed_paths(&self) -> [Option<PathAt>; 2] {
        match *self {
            Call::Open { at, .. }
            | Call::MakeDirectory { at, .. }
            | Call::MakeNode { at, .. }
            | Call::Remove { at, .. }
            | Call::Symlink { at, .. }
            | Call::Truncate { at, .. }
            | Call::Change { subject: Subject::Path { at, .. }, .. } => [Some(at), None],
            Call::Rename { from, to, .. } | Call::Link { from, to, .. } => [Some(from), Some(to)],
            _ => [None, None],
        }
    }
}

/// Calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
fn legacy(number: libc::c_long, a: [u64; 6]) -> Option<Call> {
    let here = |index: usize| PathAt { directory: libc::AT_FDCWD, text: a[index] };
    let path = |index: usize, flags: i32| Subject::Path { at: here(index), flags };
    let change = |subject: Subject, change: Change| Call::Change { subject, change };
    Some(match number {
        libc::SYS_open => open(here(0), a[1] as i32, a[2] as u32),
        libc::SYS_creat => open(here(0), libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, a[1] as u32),
        libc::SYS_mkdir => Call::MakeDirectory { at: here(0), mode: a[1] as u32 },
        libc::SYS_mknod => Call::MakeNode { at: here(0), mode: a[1] as u32, device: a[2] },
        libc::SYS_unlink => Call::Remove { at: here(0), flags: 0 },
        libc::SYS_rmdir => Call::Remove { at: here(0), flags: libc::AT_REMOVEDIR },
        libc::SYS_rename => Call::Rename { from: here(0), to: here(1), flags: 0 },
        libc::SYS_link => Call::Link { from: here(0), to: here(1), flags: 0 },
        libc::SYS_symlink => Call::Symlink { text: a[0], at: here(1) },
        libc::SYS_chmod => change(path(0, 0), Change::Mode(a[1] as u32)),
        libc::SYS_chown => change(path(0, 0), Change::Owner(a[1] as u32, a[2] as u32)),
        libc::SYS_lchown => change(path(0, libc::AT_SYMLINK_NOFOLLOW), Change::Owner(a[1] as u32, a[2] as u32)),
        libc::SYS_utime => change(path(0, 0), Change::Times(a[1], TimeFormat::Seconds)),
        libc::SYS_utimes => change(path(0, 0), Change::Times(a[1], TimeFormat::Microseconds)),
        libc::SYS_futimesat if a[1] == 0 => change(Subject::Descriptor(a[0] as i32), Change::Times(a[2], TimeFormat::Microseconds)),
        libc::SYS_futimesat => {
            let at = PathAt { directory: a[0] as i32, text: a[1] };
            change(Subject::Path { at, flags: 0 }, Change::Times(a[2], TimeFormat::Microseconds))
        }
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn legacy(_number: libc::c_long, _arguments: [u64; 6]) -> Option<Call> {
    None
}

/// Linux 6.6; the same number on every architecture.
const SYS_FCHMODAT2: libc::c_long = 452;

/// The bits with which an open may change something.
pub(in crate::linux) const WRITE_INTENT: i32 =
    libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY);

fn open(at: PathAt, flags: i32, mode: u32) -> Call {
    if flags & WRITE_INTENT == 0 { Call::Look { at, flags } } else { Call::Open { at, flags, mode } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: libc::c_long, arguments: [u64; 6]) -> Call {
        Call::of(&Notification { id: 1, thread: 1, number, arguments })
    }

    #[test]
    fn int_arguments_are_the_low_half_of_a_register() {
        let at = PathAt { directory: libc::AT_FDCWD, text: 7 };
        let high = 0xffff_ffff_0000_0000;
        let flags = libc::O_WRONLY as u64;
        assert_eq!(
            call(libc::SYS_openat, [libc::AT_FDCWD as u32 as u64, 7, flags | high, 0o644, 0, 0]),
            Call::Open { at, flags: libc::O_WRONLY, mode: 0o644 }
        );
    }

    #[test]
    fn an_open_without_write_intent_is_only_looked_at() {
        assert!(matches!(call(libc::SYS_openat, [0, 7, libc::O_RDONLY as u64, 0, 0, 0]), Call::Look { .. }));
        assert!(matches!(call(libc::SYS_openat, [0, 7, libc::O_TMPFILE as u64, 0, 0, 0]), Call::Open { .. }));
    }

    #[test]
    fn a_missing_path_means_the_descriptor() {
        let expected = Call::Change { subject: Subject::Descriptor(5), change: Change::Times(9, TimeFormat::Nanoseconds) };
        assert_eq!(call(libc::SYS_utimensat, [5, 0, 9, 0, 0, 0]), expected);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for number in [libc::SYS_mount, libc::SYS_ptrace, 463, 9999] {
            assert_eq!(call(number, [0; 6]), Call::Refused);
        }
    }
}

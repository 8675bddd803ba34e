//! Which system calls are refused.

/// What a run's settings change in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterSpec {
    /// Does the broker stand behind the filter? Then it gets every call that changes names or sends to addresses, and tells of every refusal.
    pub broker: bool,
    /// Does the broker also look at opens for reading (`violations.reads`)?
    pub watch_reads: bool,
    /// Are network, processes and IPC the host's? Then what namespaces keep inside elsewhere is refused here, or judged by the broker.
    pub on_host: bool,
    /// May UNIX sockets be made?
    pub unix_sockets: bool,
    /// Does nothing else keep `kill(0, …)` from reaching the caller's process group outside (Landlock below ABI 6)?
    pub refuse_group_kill: bool,
    /// Is the caller root? A set-user-id file that the command left in a write root would be root's, for every user of the host.
    pub refuse_set_id: bool,
}

/// What happens to one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Refused whatever its arguments.
    Refuse(u16),
    /// `EPERM` where a test holds; else allowed.
    RefuseIf(&'static [Test]),
    /// The broker's, whatever the arguments.
    Ask,
    /// The broker's where a test holds; else allowed.
    AskIf(&'static [Test]),
}

/// A test of one argument's low 32 bits. The kernel takes these arguments as `int` or `unsigned int` and drops the upper half, so the upper half must not
/// be looked at: a comparison of 64 bits would let `0x1_0000_5412` through as another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Any of these bits is set.
    AnyBit { argument: u8, bits: u32 },
    /// `value & mask` is one of the list.
    OneOf { argument: u8, mask: u32, values: &'static [u32] },
    /// It is none of the list.
    NoneOf { argument: u8, values: &'static [u32] },
    /// The first argument is `first`, and the third is none of the list.
    FirstAndThird { first: u32, third: &'static [u32] },
    /// The first argument is `first`, and the second, without the flags that sockets take there, is none of the list.
    FirstAndKind { first: u32, kinds: &'static [u32] },
    /// The first two arguments are these.
    FirstTwo { first: u32, second: u32 },
    /// The flags of an open that makes a file, with a mode that has any of these bits. Without such a flag the mode is whatever the register held.
    CreatesWith { flags: u8, mode: u8, bits: u32 },
    /// Any of these bits is set, and `O_PATH` is not, which makes the kernel ignore them.
    Opens { flags: u8, bits: u32 },
    /// One bit is set, and another is not.
    BitWithout { argument: u8, bit: u32, without: u32 },
    /// None of these bits is set.
    NoBit { argument: u8, bits: u32 },
    /// A pointer that is not null: both halves count.
    NotNull { argument: u8 },
}

/// Flags with which an open makes a file. O_TMPFILE is a bit of its own and O_DIRECTORY; the bit alone tells.
pub(super) const CREATES: u32 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;

impl Test {
    /// Does it hold for these arguments? As the compiled filter answers.
    pub(super) fn holds(self, arguments: &[u64; 6]) -> bool {
        let low = |argument: u8| arguments.get(usize::from(argument)).map_or(0, |value| *value as u32);
        match self {
            Test::AnyBit { argument, bits } => low(argument) & bits != 0,
            Test::OneOf { argument, mask, values } => values.contains(&(low(argument) & mask)),
            Test::NoneOf { argument, values } => !values.contains(&low(argument)),
            Test::FirstAndThird { first, third } => low(0) == first && !third.contains(&low(2)),
            Test::FirstAndKind { first, kinds } => low(0) == first && !kinds.contains(&(low(1) & KIND_MASK)),
            Test::FirstTwo { first, second } => low(0) == first && low(1) == second,
            Test::CreatesWith { flags, mode, bits } => low(flags) & CREATES != 0 && low(mode) & bits != 0,
            Test::Opens { flags, bits } => low(flags) & bits != 0 && low(flags) & libc::O_PATH as u32 == 0,
            Test::BitWithout { argument, bit, without } => low(argument) & bit != 0 && low(argument) & without == 0,
            Test::NoBit { argument, bits } => low(argument) & bits == 0,
            Test::NotNull { argument } => arguments.get(usize::from(argument)).is_some_and(|value| *value != 0),
        }
    }
}

/// The bits of a socket's type that are no flags (`SOCK_TYPE_MASK`).
pub(super) const KIND_MASK: u32 = 0xf;

pub(super) const EPERM: u16 = libc::EPERM as u16;
pub(super) const ENOSYS: u16 = libc::ENOSYS as u16;

/// Every `CLONE_NEW*` flag, time namespaces included.
pub(in crate::linux) const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;
/// `CLONE_NEWTIME` is 0x80, which means a signal number in `clone`; only `unshare` takes it.
const UNSHARE_FLAGS: u32 = NAMESPACE_FLAGS | 0x80;

/// Typing into the terminal that we share with the caller, and leaving it useless to the caller: input, console selection, line discipline, exclusive use.
const TERMINAL_REQUESTS: &[u32] = &[libc::TIOCSTI as u32, libc::TIOCLINUX as u32, 0x5423, libc::TIOCEXCL as u32];
/// Keyboard, screen mode and switching of virtual consoles (ioctl_console(2)): `K` and `V` requests.
const CONSOLE_REQUESTS: &[u32] = &[0x4b00, 0x5600];

/// Flags of a file, changed through a descriptor that may only read: `FS_IOC_SETFLAGS` (also for 32 bits), `FS_IOC_SETVERSION`, `FS_IOC_FSSETXATTR`, `FS_IOC_ENABLE_VERITY`.
const FILE_FLAG_REQUESTS: &[u32] = &[0x4008_6602, 0x4004_6602, 0x4008_7602, 0x401c_5820, 0x4080_6685];

const IOCTL_OF_NAMES: &[Test] = &[
    Test::OneOf { argument: 1, mask: u32::MAX, values: TERMINAL_REQUESTS },
    Test::OneOf { argument: 1, mask: 0xffff_ff00, values: CONSOLE_REQUESTS },
    Test::OneOf { argument: 1, mask: u32::MAX, values: FILE_FLAG_REQUESTS },
];
const IOCTL: &[Test] = &[
    Test::OneOf { argument: 1, mask: u32::MAX, values: TERMINAL_REQUESTS },
    Test::OneOf { argument: 1, mask: 0xffff_ff00, values: CONSOLE_REQUESTS },
];

/// `who` 0 is the caller's own process group, most of which may be outside; other groups are looked up in the pid namespace.
const PRIO_PGRP: u32 = libc::PRIO_PGRP;
const IOPRIO_WHO_PGRP: u32 = 2;

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

pub(super) const UNIX: u32 = libc::AF_UNIX as u32;
pub(super) const INET: u32 = libc::AF_INET as u32;
const INET6: u32 = libc::AF_INET6 as u32;
const NETLINK: u32 = libc::AF_NETLINK as u32;
/// 0, ICMP, TCP, UDP, ICMPv6, MPTCP: any other protocol would make the kernel load a module for it.
const INET_PROTOCOLS: &[u32] = &[0, 1, 6, 17, 58, 262];
const NETLINK_ROUTE: &[u32] = &[0];

const SOCKET: &[Test] = &[
    Test::NoneOf { argument: 0, values: &[UNIX, INET, INET6, NETLINK] },
    Test::FirstAndThird { first: INET, third: INET_PROTOCOLS },
    Test::FirstAndThird { first: INET6, third: INET_PROTOCOLS },
    Test::FirstAndThird { first: NETLINK, third: NETLINK_ROUTE },
];
const SOCKET_WITHOUT_UNIX: &[Test] = &[
    Test::NoneOf { argument: 0, values: &[INET, INET6, NETLINK] },
    Test::FirstAndThird { first: INET, third: INET_PROTOCOLS },
    Test::FirstAndThird { first: INET6, third: INET_PROTOCOLS },
    Test::FirstAndThird { first: NETLINK, third: NETLINK_ROUTE },
];
/// Streams and datagrams alone: the broker sees where those go.
const SOCKET_ON_HOST: &[Test] = &[
    Test::NoneOf { argument: 0, values: &[UNIX, INET, INET6, NETLINK] },
    Test::FirstAndKind { first: INET, kinds: HOST_KINDS },
    Test::FirstAndKind { first: INET6, kinds: HOST_KINDS },
    Test::FirstAndThird { first: INET, third: HOST_PROTOCOLS },
    Test::FirstAndThird { first: INET6, third: HOST_PROTOCOLS },
    Test::FirstAndThird { first: NETLINK, third: NETLINK_ROUTE },
];
const HOST_KINDS: &[u32] = &[libc::SOCK_STREAM as u32, libc::SOCK_DGRAM as u32];
/// TCP, UDP, MPTCP.
const HOST_PROTOCOLS: &[u32] = &[0, 6, 17, 262];
/// A datagram pair can be pointed at any named socket by a second `connect` or by `sendto`; stream and seqpacket pairs cannot.
const SOCKETPAIR_WITHOUT_UNIX: &[Test] = &[
    Test::NoneOf { argument: 0, values: &[UNIX] },
    Test::OneOf { argument: 1, mask: 0xf, values: &[libc::SOCK_DGRAM as u32, libc::SOCK_RAW as u32] },
];

/// Any process but the caller itself.
const OTHERS: Test = Test::NoneOf { argument: 0, values: &[0] };
/// New namespaces, and a process that shares its mask for modes with another.
const CLONE: &[Test] = &[
    Test::AnyBit { argument: 0, bits: NAMESPACE_FLAGS },
    Test::BitWithout { argument: 0, bit: libc::CLONE_FS as u32, without: libc::CLONE_THREAD as u32 },
];

/// The table. Calls that need a capability the command never has, and nothing else would allow, are left to the kernel: each row costs time at every start.
pub(super) fn table(spec: FilterSpec) -> Vec<(libc::c_long, Action)> {
    const REFUSE: Action = Action::Refuse(EPERM);
    // The broker judges where they lead.
    let unix_sockets = spec.unix_sockets || spec.broker;
    let mut rows = vec![
        // The file tree is ours to arrange.
        (libc::SYS_mount, REFUSE),
        (libc::SYS_umount2, REFUSE),
        (libc::SYS_pivot_root, REFUSE),
        (libc::SYS_chroot, REFUSE),
        (libc::SYS_open_tree, REFUSE),
        (libc::SYS_move_mount, REFUSE),
        (libc::SYS_fsopen, REFUSE),
        (libc::SYS_fsconfig, REFUSE),
        (libc::SYS_fsmount, REFUSE),
        (libc::SYS_fspick, REFUSE),
        (libc::SYS_mount_setattr, REFUSE),
        (SYS_OPEN_TREE_ATTR, REFUSE),
        (libc::SYS_open_by_handle_at, REFUSE),
        // New namespaces would give capabilities over new objects. The flags of clone3 are in memory, where a filter cannot see them; ENOSYS makes
        // C libraries fall back to clone.
        (libc::SYS_setns, REFUSE),
        (libc::SYS_unshare, Action::RefuseIf(&[Test::AnyBit { argument: 0, bits: UNSHARE_FLAGS }])),
        (
            libc::SYS_clone,
            if spec.broker { Action::AskIf(CLONE) } else { Action::RefuseIf(&[Test::AnyBit { argument: 0, bits: NAMESPACE_FLAGS }]) },
        ),
        (libc::SYS_clone3, Action::Refuse(ENOSYS)),
        // Key rings are not namespaced.
        (libc::SYS_keyctl, REFUSE),
        (libc::SYS_add_key, REFUSE),
        (libc::SYS_request_key, REFUSE),
        // Kernel interfaces with a history of holes, and no use here.
        (libc::SYS_bpf, REFUSE),
        (libc::SYS_perf_event_open, REFUSE),
        (libc::SYS_userfaultfd, REFUSE),
        (libc::SYS_kexec_load, REFUSE),
        (libc::SYS_kexec_file_load, REFUSE),
        (libc::SYS_init_module, REFUSE),
        (libc::SYS_finit_module, REFUSE),
        (libc::SYS_delete_module, REFUSE),
        // A ring does file and socket operations that no filter sees.
        (libc::SYS_io_uring_setup, REFUSE),
        (libc::SYS_io_uring_enter, REFUSE),
        (libc::SYS_io_uring_register, REFUSE),
        // The terminal is the caller's.
        (libc::SYS_ioctl, Action::RefuseIf(if spec.broker { IOCTL_OF_NAMES } else { IOCTL })),
        // The process group has members outside.
        (libc::SYS_setpriority, Action::RefuseIf(&[Test::FirstTwo { first: PRIO_PGRP, second: 0 }])),
        (libc::SYS_ioprio_set, Action::RefuseIf(&[Test::FirstTwo { first: IOPRIO_WHO_PGRP, second: 0 }])),
        // The limits of PID 1: without descriptors it could not do its work.
        (
            libc::SYS_prlimit64,
            if spec.broker {
                Action::AskIf(&[OTHERS])
            } else {
                Action::RefuseIf(&[Test::OneOf { argument: 0, mask: u32::MAX, values: &[1] }])
            },
        ),
        (libc::SYS_socket, Action::RefuseIf(if unix_sockets { SOCKET } else { SOCKET_WITHOUT_UNIX })),
        (
            libc::SYS_socketpair,
            Action::RefuseIf(if unix_sockets { &[Test::NoneOf { argument: 0, values: &[UNIX] }] } else { SOCKETPAIR_WITHOUT_UNIX }),
        ),
    ];
    if spec.on_host {
        rows.retain(|(number, _)| !HOST_ROWS.iter().any(|(own, _)| own == number));
        rows.extend(HOST_ROWS);
    }
    if spec.refuse_group_kill {
        rows.push((libc::SYS_kill, Action::RefuseIf(&[Test::OneOf { argument: 0, mask: u32::MAX, values: &[0] }])));
    }
    match spec.broker {
        true => rows.extend(broker_rows(spec.watch_reads)),
        false if spec.refuse_set_id => rows.extend(set_id_rows()),
        false => {}
    }
    rows
}

/// Without namespaces. IPC objects are everybody's; a server could be reached from outside; SCTP connects by calls of its own; and what changes how a process runs must not be
/// about one of the host's.
const HOST_ROWS: &[(libc::c_long, Action)] = &[
    (libc::SYS_shmget, Action::Refuse(ENOSYS)),
    (libc::SYS_shmat, Action::Refuse(ENOSYS)),
    (libc::SYS_shmctl, Action::Refuse(ENOSYS)),
    (libc::SYS_semget, Action::Refuse(ENOSYS)),
    (libc::SYS_semop, Action::Refuse(ENOSYS)),
    (libc::SYS_semtimedop, Action::Refuse(ENOSYS)),
    (libc::SYS_semctl, Action::Refuse(ENOSYS)),
    (libc::SYS_msgget, Action::Refuse(ENOSYS)),
    (libc::SYS_msgsnd, Action::Refuse(ENOSYS)),
    (libc::SYS_msgrcv, Action::Refuse(ENOSYS)),
    (libc::SYS_msgctl, Action::Refuse(ENOSYS)),
    (libc::SYS_mq_open, Action::Refuse(ENOSYS)),
    (libc::SYS_mq_unlink, Action::Refuse(ENOSYS)),
    (libc::SYS_listen, Action::Ask),
    (libc::SYS_socket, Action::RefuseIf(SOCKET_ON_HOST)),
    (libc::SYS_sched_setaffinity, Action::AskIf(&[OTHERS])),
    (libc::SYS_sched_setparam, Action::AskIf(&[OTHERS])),
    (libc::SYS_sched_setscheduler, Action::AskIf(&[OTHERS])),
    (libc::SYS_sched_setattr, Action::AskIf(&[OTHERS])),
    (libc::SYS_setpriority, Action::AskIf(&[Test::NoneOf { argument: 0, values: &[libc::PRIO_PROCESS] }, SECOND_IS_OTHER])),
    (libc::SYS_ioprio_set, Action::AskIf(&[Test::NoneOf { argument: 0, values: &[IOPRIO_WHO_PROCESS] }, SECOND_IS_OTHER])),
];
const SECOND_IS_OTHER: Test = Test::NoneOf { argument: 1, values: &[0] };
pub(in crate::linux) const IOPRIO_WHO_PROCESS: u32 = 1;

const WRITES: i32 = super::super::broker::WRITE_INTENT;

/// What the broker performs: see its module. Modes are looked at there too.
fn broker_rows(watch_reads: bool) -> Vec<(libc::c_long, Action)> {
    const OPEN_2: Action = Action::AskIf(&[Test::Opens { flags: 2, bits: WRITES as u32 }]);
    let rows = vec![
        (libc::SYS_openat, if watch_reads { Action::AskIf(&[Test::NoBit { argument: 2, bits: PATH_ONLY }]) } else { OPEN_2 }),
        (libc::SYS_mkdirat, Action::Ask),
        (libc::SYS_mknodat, Action::Ask),
        (libc::SYS_unlinkat, Action::Ask),
        (libc::SYS_renameat, Action::Ask),
        (libc::SYS_renameat2, Action::Ask),
        (libc::SYS_linkat, Action::Ask),
        (libc::SYS_symlinkat, Action::Ask),
        (libc::SYS_truncate, Action::Ask),
        (libc::SYS_fchmod, Action::Ask),
        (libc::SYS_fchmodat, Action::Ask),
        (SYS_FCHMODAT2, Action::Ask),
        (libc::SYS_fchown, Action::Ask),
        (libc::SYS_fchownat, Action::Ask),
        (libc::SYS_utimensat, Action::Ask),
        (libc::SYS_setxattr, Action::Ask),
        (libc::SYS_lsetxattr, Action::Ask),
        (libc::SYS_fsetxattr, Action::Ask),
        (libc::SYS_removexattr, Action::Ask),
        (libc::SYS_lremovexattr, Action::Ask),
        (libc::SYS_fremovexattr, Action::Ask),
        (libc::SYS_umask, Action::Ask),
        (libc::SYS_connect, Action::Ask),
        (libc::SYS_bind, Action::Ask),
        (libc::SYS_sendto, Action::AskIf(&[Test::NotNull { argument: 4 }])),
        (libc::SYS_sendmsg, Action::Ask),
        (libc::SYS_sendmmsg, Action::Ask),
        // Their flags or their paths are in memory, or they are too new to be needed: callers fall back to the older calls.
        (libc::SYS_openat2, Action::Refuse(ENOSYS)),
        (SYS_SETXATTRAT, Action::Refuse(ENOSYS)),
        (SYS_REMOVEXATTRAT, Action::Refuse(ENOSYS)),
        (SYS_FILE_SETATTR, Action::Refuse(ENOSYS)),
        // What the broker does for a caller would not be held to rules that the caller sets itself.
        (libc::SYS_landlock_create_ruleset, Action::Refuse(libc::EOPNOTSUPP as u16)),
    ];
    rows.into_iter().chain(legacy_rows(watch_reads)).collect()
}

const PATH_ONLY: u32 = libc::O_PATH as u32;

/// Calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
fn legacy_rows(watch_reads: bool) -> Vec<(libc::c_long, Action)> {
    const OPEN_1: Action = Action::AskIf(&[Test::Opens { flags: 1, bits: WRITES as u32 }]);
    let open = if watch_reads { Action::AskIf(&[Test::NoBit { argument: 1, bits: PATH_ONLY }]) } else { OPEN_1 };
    let others = [
        libc::SYS_creat,
        libc::SYS_mkdir,
        libc::SYS_mknod,
        libc::SYS_unlink,
        libc::SYS_rmdir,
        libc::SYS_rename,
        libc::SYS_link,
        libc::SYS_symlink,
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
    ];
    std::iter::once((libc::SYS_open, open)).chain(others.map(|number| (number, Action::Ask))).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn legacy_rows(_watch_reads: bool) -> Vec<(libc::c_long, Action)> {
    Vec::new()
}

/// Every call that gives a file its mode. The mode of openat2 is in memory, so it is refused as if the kernel were older: callers fall back to openat.
fn set_id_rows() -> Vec<(libc::c_long, Action)> {
    const MODE_1: Action = Action::RefuseIf(&[Test::AnyBit { argument: 1, bits: SET_ID }]);
    const MODE_2: Action = Action::RefuseIf(&[Test::AnyBit { argument: 2, bits: SET_ID }]);
    vec![
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_chmod, MODE_1),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_creat, MODE_1),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_mknod, MODE_1),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, Action::RefuseIf(&[Test::CreatesWith { flags: 1, mode: 2, bits: SET_ID }])),
        (libc::SYS_fchmod, MODE_1),
        (libc::SYS_fchmodat, MODE_2),
        (SYS_FCHMODAT2, MODE_2),
        (libc::SYS_mknodat, MODE_2),
        (libc::SYS_openat, Action::RefuseIf(&[Test::CreatesWith { flags: 2, mode: 3, bits: SET_ID }])),
        (libc::SYS_openat2, Action::Refuse(ENOSYS)),
    ]
}

/// Linux 6.6; the same number on every architecture.
const SYS_FCHMODAT2: libc::c_long = 452;
/// Linux 6.13.
const SYS_SETXATTRAT: libc::c_long = 463;
/// Linux 6.13.
const SYS_REMOVEXATTRAT: libc::c_long = 466;
/// Linux 6.17.
const SYS_FILE_SETATTR: libc::c_long = 469;
/// Linux 6.15; not in the libc crate yet. The same number on every architecture.
const SYS_OPEN_TREE_ATTR: libc::c_long = 467;

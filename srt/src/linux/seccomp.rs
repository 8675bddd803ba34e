//! The system-call filter.
//!
//! A table in code says what is refused; [`compile`] turns it into classic BPF. Pure but for [`install`].
//!
//! The rules are laid out as a binary search tree over the system-call number. When a filter is installed, the kernel runs it once for every number
//! it knows, to learn which calls are always allowed (Linux 5.11): a linear chain of these rules costs ten times as much as the tree, on every start. That is
//! also why `seccompiler`'s own compiler is not used, which lays out chains; its program type and its installer are.
//!
//! See seccomp(2), and `struct seccomp_data` in linux/seccomp.h for the offsets.

use seccompiler::sock_filter;

/// What a run's settings change in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterSpec {
    /// May UNIX sockets be made?
    pub unix_sockets: bool,
    /// Does nothing else keep `kill(0, …)` from reaching the caller's process group outside (Landlock below ABI 6)?
    pub refuse_group_kill: bool,
    /// Is the caller root? A set-user-id file that the command left in a write root would be root's, for every user of the host.
    pub refuse_set_id: bool,
}

/// What happens to one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// Refused whatever its arguments.
    Refuse(u16),
    /// `EPERM` where a test holds; else allowed.
    RefuseIf(&'static [Test]),
}

/// A test of one argument's low 32 bits. The kernel takes these arguments as `int` or `unsigned int` and drops the upper half, so the upper half must not
/// be looked at: a comparison of 64 bits would let `0x1_0000_5412` through as another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    /// Any of these bits is set.
    AnyBit { argument: u8, bits: u32 },
    /// `value & mask` is one of the list.
    OneOf { argument: u8, mask: u32, values: &'static [u32] },
    /// It is none of the list.
    NoneOf { argument: u8, values: &'static [u32] },
    /// The first argument is `first`, and the third is none of the list.
    FirstAndThird { first: u32, third: &'static [u32] },
    /// The first two arguments are these.
    FirstTwo { first: u32, second: u32 },
    /// The flags of an open that makes a file, with a mode that has any of these bits. Without such a flag the mode is whatever the register held.
    CreatesWith { flags: u8, mode: u8, bits: u32 },
}

const EPERM: u16 = libc::EPERM as u16;
const ENOSYS: u16 = libc::ENOSYS as u16;

/// Every `CLONE_NEW*` flag, time namespaces included.
const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
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

const IOCTL: &[Test] = &[
    Test::OneOf { argument: 1, mask: u32::MAX, values: TERMINAL_REQUESTS },
    Test::OneOf { argument: 1, mask: 0xffff_ff00, values: CONSOLE_REQUESTS },
];

/// `who` 0 is the caller's own process group, most of which may be outside; other groups are looked up in the pid namespace.
const PRIO_PGRP: u32 = libc::PRIO_PGRP as u32;
const IOPRIO_WHO_PGRP: u32 = 2;

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

const UNIX: u32 = libc::AF_UNIX as u32;
const INET: u32 = libc::AF_INET as u32;
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
/// A datagram pair can be pointed at any named socket by a second `connect` or by `sendto`; stream and seqpacket pairs cannot.
const SOCKETPAIR_WITHOUT_UNIX: &[Test] = &[
    Test::NoneOf { argument: 0, values: &[UNIX] },
    Test::OneOf { argument: 1, mask: 0xf, values: &[libc::SOCK_DGRAM as u32, libc::SOCK_RAW as u32] },
];

/// The table. Calls that need a capability the command never has, and nothing else would allow, are left to the kernel: each row costs time at every start.
fn table(spec: FilterSpec) -> Vec<(libc::c_long, Action)> {
    const REFUSE: Action = Action::Refuse(EPERM);
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
        (libc::SYS_clone, Action::RefuseIf(&[Test::AnyBit { argument: 0, bits: NAMESPACE_FLAGS }])),
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
        (libc::SYS_ioctl, Action::RefuseIf(IOCTL)),
        // The process group has members outside.
        (libc::SYS_setpriority, Action::RefuseIf(&[Test::FirstTwo { first: PRIO_PGRP, second: 0 }])),
        (libc::SYS_ioprio_set, Action::RefuseIf(&[Test::FirstTwo { first: IOPRIO_WHO_PGRP, second: 0 }])),
        // The limits of PID 1: without descriptors it could not do its work.
        (libc::SYS_prlimit64, Action::RefuseIf(&[Test::OneOf { argument: 0, mask: u32::MAX, values: &[1] }])),
        (libc::SYS_socket, Action::RefuseIf(if spec.unix_sockets { SOCKET } else { SOCKET_WITHOUT_UNIX })),
        (
            libc::SYS_socketpair,
            Action::RefuseIf(if spec.unix_sockets { &[Test::NoneOf { argument: 0, values: &[UNIX] }] } else { SOCKETPAIR_WITHOUT_UNIX }),
        ),
    ];
    if spec.refuse_group_kill {
        rows.push((libc::SYS_kill, Action::RefuseIf(&[Test::OneOf { argument: 0, mask: u32::MAX, values: &[0] }])));
    }
    if spec.refuse_set_id {
        rows.extend(set_id_rows());
    }
    rows
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
/// Linux 6.15; not in the libc crate yet. The same number on every architecture.
const SYS_OPEN_TREE_ATTR: libc::c_long = 467;

// Offsets in struct seccomp_data.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// Low half of an argument on a little-endian machine.
const fn argument_offset(argument: u8) -> u32 {
    16 + 8 * argument as u32
}

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;
#[cfg(not(target_endian = "little"))]
compile_error!("the argument offsets are those of a little-endian machine");

/// Bit of x32 numbers on x86-64; unused elsewhere.
const X32: u32 = 0x4000_0000;

/// Builds the program.
pub(super) fn compile(spec: FilterSpec) -> Vec<sock_filter> {
    let mut rows = table(spec);
    rows.sort_unstable_by_key(|(number, _)| *number);
    let mut program = vec![
        // A foreign architecture numbers its calls differently: every rule below would be about another call.
        load(ARCHITECTURE),
        jump(libc::BPF_JEQ, NATIVE, 1, 0),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
        // x32 numbers reach the same calls under other numbers.
        jump(libc::BPF_JSET, X32, 0, 1),
        give(refusal(ENOSYS)),
    ];
    program.extend(search(&rows));
    program
}

/// A tree over sorted rows; few rows are tried in turn.
fn search(rows: &[(libc::c_long, Action)]) -> Vec<sock_filter> {
    if rows.len() <= 2 {
        let mut program = Vec::new();
        for (number, action) in rows {
            let leaf = leaf(*action);
            program.push(jump(libc::BPF_JEQ, number_of(*number), 0, distance(leaf.len())));
            program.extend(leaf);
        }
        program.push(give(libc::SECCOMP_RET_ALLOW));
        return program;
    }
    let (left, right) = rows.split_at(rows.len() / 2);
    let (left_code, right_code) = (search(left), search(right));
    let mut program = vec![jump(libc::BPF_JGE, number_of(right[0].0), distance(left_code.len()), 0)];
    program.extend(left_code);
    program.extend(right_code);
    program
}

fn leaf(action: Action) -> Vec<sock_filter> {
    let tests = match action {
        Action::Refuse(errno) => return vec![give(refusal(errno))],
        Action::RefuseIf(tests) => tests,
    };
    let mut program: Vec<sock_filter> = tests.iter().flat_map(|test| code(*test)).collect();
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

/// Code that returns `EPERM` where the test holds, and falls through where it does not.
fn code(test: Test) -> Vec<sock_filter> {
    let mut program = Vec::new();
    match test {
        Test::AnyBit { argument, bits } => {
            program.push(load(argument_offset(argument)));
            program.push(jump(libc::BPF_JSET, bits, 0, 1));
        }
        Test::OneOf { argument, mask, values } => {
            program.push(load(argument_offset(argument)));
            if mask != u32::MAX {
                program.push(statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask));
            }
            program.extend(any_equal(values));
        }
        Test::NoneOf { argument, values } => {
            program.push(load(argument_offset(argument)));
            program.extend(none_equal(values));
        }
        Test::FirstAndThird { first, third } => {
            let tail = none_equal(third);
            program.push(load(argument_offset(0)));
            // Another first argument: past the load, the comparisons and the refusal.
            program.push(jump(libc::BPF_JEQ, first, 0, distance(tail.len() + 2)));
            program.push(load(argument_offset(2)));
            program.extend(tail);
        }
        Test::FirstTwo { first, second } => {
            program.push(load(argument_offset(0)));
            program.push(jump(libc::BPF_JEQ, first, 0, 3));
            program.push(load(argument_offset(1)));
            program.push(jump(libc::BPF_JEQ, second, 0, 1));
        }
        Test::CreatesWith { flags, mode, bits } => {
            // O_TMPFILE is a bit of its own and O_DIRECTORY; the bit alone tells.
            const CREATES: u32 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;
            program.push(load(argument_offset(flags)));
            program.push(jump(libc::BPF_JSET, CREATES, 0, 3));
            program.push(load(argument_offset(mode)));
            program.push(jump(libc::BPF_JSET, bits, 0, 1));
        }
    }
    program.push(give(refusal(EPERM)));
    program
}

/// Falls onto the next instruction where one of `values` is loaded, else skips it.
fn any_equal(values: &[u32]) -> Vec<sock_filter> {
    let last = values.len() - 1;
    values.iter().enumerate().map(|(index, value)| jump(libc::BPF_JEQ, *value, distance(last - index), u8::from(index == last))).collect()
}

/// Falls onto the next instruction where none of `values` is loaded, else skips it.
fn none_equal(values: &[u32]) -> Vec<sock_filter> {
    let last = values.len() - 1;
    values.iter().enumerate().map(|(index, value)| jump(libc::BPF_JEQ, *value, distance(last - index + 1), 0)).collect()
}

/// Jumps reach 255 instructions; the table is far below that, and the test of the whole table would show it.
fn distance(instructions: usize) -> u8 {
    u8::try_from(instructions).expect("the table fits into the reach of one jump")
}

fn number_of(number: libc::c_long) -> u32 {
    u32::try_from(number).expect("system-call numbers are small and not negative")
}

fn refusal(errno: u16) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::from(errno)
}

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn give(value: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, value)
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(kind: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | kind | libc::BPF_K) as u16, jt, jf, k }
}

/// Installs the filter on the calling thread, for ever, and sets `no_new_privs`.
///
/// # Errors
/// As seccomp(2).
pub(super) fn install(program: &[sock_filter]) -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: FilterSpec = FilterSpec { unix_sockets: true, refuse_group_kill: false, refuse_set_id: false };
    const CLOSED: FilterSpec = FilterSpec { unix_sockets: false, refuse_group_kill: true, refuse_set_id: true };

    /// An interpreter for the instructions that `compile` emits: independent of it, and of the kernel.
    fn run(program: &[sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> (u32, usize) {
        let mut data = [0u8; 64];
        data[0..4].copy_from_slice(&number.to_le_bytes());
        data[4..8].copy_from_slice(&architecture.to_le_bytes());
        for (index, argument) in arguments.iter().enumerate() {
            data[16 + 8 * index..24 + 8 * index].copy_from_slice(&argument.to_le_bytes());
        }
        let (mut at, mut value, mut steps) = (0, 0u32, 0);
        loop {
            steps += 1;
            let step = &program[at];
            let condition = match u32::from(step.code) {
                code if code == libc::BPF_RET | libc::BPF_K => return (step.k, steps),
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    value = u32::from_le_bytes(data[step.k as usize..][..4].try_into().unwrap());
                    at += 1;
                    continue;
                }
                code if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => {
                    value &= step.k;
                    at += 1;
                    continue;
                }
                code if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => value == step.k,
                code if code == libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K => value >= step.k,
                code if code == libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K => value & step.k != 0,
                code => panic!("instruction {code:#x}"),
            };
            at += 1 + usize::from(if condition { step.jt } else { step.jf });
        }
    }

    fn verdict(spec: FilterSpec, number: libc::c_long, arguments: &[u64]) -> u32 {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        run(&compile(spec), NATIVE, number as u32, all).0
    }

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

    #[test]
    fn every_row_of_the_table_is_found_and_every_other_number_is_allowed() {
        for spec in [ALL, CLOSED] {
            let rows = table(spec);
            for number in 0..600 {
                // Arguments that no test refuses, so that only unconditional rows show.
                let arguments = if number == libc::SYS_socketpair { [UNIX.into(), 1, 0] } else { [INET.into(), 5, 6] };
                let arguments = if number == libc::SYS_socket { [INET.into(), 1, 6] } else { arguments };
                let expected = match rows.iter().find(|row| row.0 == number) {
                    Some((_, Action::Refuse(errno))) => refusal(*errno),
                    _ => ALLOW,
                };
                assert_eq!(verdict(spec, number, &arguments), expected, "call {number}");
            }
        }
    }

    #[test]
    fn foreign_architectures_and_x32_numbers_are_refused() {
        let program = compile(ALL);
        assert_eq!(run(&program, 0x4000_0003, libc::SYS_getpid as u32, [0; 6]).0, libc::SECCOMP_RET_KILL_PROCESS);
        assert_eq!(run(&program, NATIVE, libc::SYS_getpid as u32 | X32, [0; 6]).0, refusal(ENOSYS));
    }

    #[test]
    fn ioctl_numbers_are_compared_on_32_bits() {
        for number in [0x5412, 0x541c, 0x5423, 0x540c, 0x4b3a, 0x5602, 0x1_0000_5412, 0xffff_ffff_0000_541c] {
            assert_eq!(verdict(ALL, libc::SYS_ioctl, &[0, number]), refusal(EPERM), "{number:#x}");
        }
        assert_eq!(verdict(ALL, libc::SYS_ioctl, &[0, 0x5413]), ALLOW);
    }

    #[test]
    fn namespace_flags_are_refused_in_any_company() {
        for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET, libc::CLONE_NEWPID, libc::CLONE_NEWCGROUP] {
            assert_eq!(verdict(ALL, libc::SYS_clone, &[flag as u64 | 0x11]), refusal(EPERM));
            assert_eq!(verdict(ALL, libc::SYS_unshare, &[flag as u64 | 0x400]), refusal(EPERM));
        }
        assert_eq!(verdict(ALL, libc::SYS_unshare, &[0x80]), refusal(EPERM));
        assert_eq!(verdict(ALL, libc::SYS_clone, &[libc::SIGCHLD as u64]), ALLOW);
        assert_eq!(verdict(ALL, libc::SYS_unshare, &[libc::CLONE_FILES as u64]), ALLOW);
    }

    #[test]
    fn socket_families_and_protocols_are_a_short_list() {
        let socket = |spec, family: i32, kind: u64, protocol: u64| verdict(spec, libc::SYS_socket, &[family as u64, kind, protocol]);
        assert_eq!(socket(ALL, libc::AF_UNIX, 1, 0), ALLOW);
        assert_eq!(socket(CLOSED, libc::AF_UNIX, 1, 0), refusal(EPERM));
        for family in [libc::AF_INET, libc::AF_INET6] {
            assert_eq!(socket(CLOSED, family, 1, 6), ALLOW);
            assert_eq!(socket(CLOSED, family, 5, 132), refusal(EPERM), "SCTP");
        }
        assert_eq!(socket(ALL, libc::AF_NETLINK, 3, 0), ALLOW);
        assert_eq!(socket(ALL, libc::AF_NETLINK, 3, 12), refusal(EPERM), "netfilter");
        for family in [libc::AF_VSOCK, libc::AF_ALG, libc::AF_PACKET, 44, libc::AF_BLUETOOTH, 0] {
            assert_eq!(socket(ALL, family, 1, 0), refusal(EPERM), "family {family}");
        }
    }

    #[test]
    fn without_unix_sockets_no_datagram_pair_can_be_redirected() {
        let pair = |spec, kind: i32| verdict(spec, libc::SYS_socketpair, &[UNIX.into(), kind as u64, 0]);
        assert_eq!(pair(CLOSED, libc::SOCK_STREAM | libc::SOCK_CLOEXEC), ALLOW);
        assert_eq!(pair(CLOSED, libc::SOCK_SEQPACKET), ALLOW);
        assert_eq!(pair(CLOSED, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK), refusal(EPERM));
        assert_eq!(pair(ALL, libc::SOCK_DGRAM), ALLOW);
    }

    #[test]
    fn the_callers_process_group_and_pid_1_are_out_of_reach() {
        assert_eq!(verdict(ALL, libc::SYS_setpriority, &[1, 0, 19]), refusal(EPERM));
        assert_eq!(verdict(ALL, libc::SYS_setpriority, &[1, 77, 19]), ALLOW);
        assert_eq!(verdict(ALL, libc::SYS_setpriority, &[0, 0, 19]), ALLOW);
        assert_eq!(verdict(ALL, libc::SYS_ioprio_set, &[2, 0, 1]), refusal(EPERM));
        assert_eq!(verdict(ALL, libc::SYS_prlimit64, &[1, 7]), refusal(EPERM));
        assert_eq!(verdict(ALL, libc::SYS_prlimit64, &[0, 7]), ALLOW);
        assert_eq!(verdict(CLOSED, libc::SYS_kill, &[0, 9]), refusal(EPERM));
        assert_eq!(verdict(ALL, libc::SYS_kill, &[0, 9]), ALLOW);
    }

    #[test]
    fn root_leaves_no_set_id_file() {
        let create = libc::O_CREAT as u64;
        assert_eq!(verdict(CLOSED, libc::SYS_fchmodat, &[0, 0, 0o4755]), refusal(EPERM));
        assert_eq!(verdict(CLOSED, libc::SYS_fchmod, &[0, 0o2755]), refusal(EPERM));
        assert_eq!(verdict(CLOSED, libc::SYS_openat, &[0, 0, create, 0o4700]), refusal(EPERM));
        assert_eq!(verdict(CLOSED, libc::SYS_openat, &[0, 0, libc::O_TMPFILE as u64, 0o4700]), refusal(EPERM));
        // A register that open does not read.
        assert_eq!(verdict(CLOSED, libc::SYS_openat, &[0, 0, libc::O_DIRECTORY as u64, 0o4700]), ALLOW);
        assert_eq!(verdict(CLOSED, libc::SYS_openat, &[0, 0, create, 0o755]), ALLOW);
        assert_eq!(verdict(CLOSED, libc::SYS_openat2, &[0]), refusal(ENOSYS));
        assert_eq!(verdict(ALL, libc::SYS_fchmodat, &[0, 0, 0o4755]), ALLOW);
    }

    #[test]
    fn the_path_to_an_ordinary_call_is_short() {
        // Every number is tried when the filter is installed, and every call of the sandbox that is not always allowed walks it.
        let program = compile(CLOSED);
        let rows = table(CLOSED);
        let longest = (0..600)
            .filter(|number| rows.iter().all(|row| row.0 != *number))
            .map(|number| run(&program, NATIVE, number as u32, [0; 6]).1)
            .max();
        assert!(longest <= Some(14), "{longest:?} of {} instructions", program.len());
    }
}

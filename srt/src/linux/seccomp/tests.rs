//! The program, run by an interpreter of our own.

use seccompiler::sock_filter;

use super::program::{ASK, NATIVE, UNREVIEWED, compile, refusal};
use super::table::{Action, ENOSYS, EPERM, FilterSpec, INET, UNIX, table};

const ALL: FilterSpec =
    FilterSpec { broker: false, watch_reads: false, on_host: false, unix_sockets: true, refuse_group_kill: false, refuse_set_id: false };
const BROKER: FilterSpec =
    FilterSpec { broker: true, watch_reads: false, on_host: false, unix_sockets: false, refuse_group_kill: false, refuse_set_id: true };
const READS: FilterSpec = FilterSpec { watch_reads: true, ..BROKER };
const CLOSED: FilterSpec =
    FilterSpec { broker: false, watch_reads: false, on_host: false, unix_sockets: false, refuse_group_kill: true, refuse_set_id: true };

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
            code if code == libc::BPF_JMP | libc::BPF_JA => {
                at += 1 + step.k as usize;
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

/// Calls that open by name with flags in a register.
#[cfg(target_arch = "x86_64")]
const OPENS: &[libc::c_long] = &[libc::SYS_open, libc::SYS_openat];
#[cfg(not(target_arch = "x86_64"))]
const OPENS: &[libc::c_long] = &[libc::SYS_openat];

#[test]
fn every_row_of_the_table_is_found_and_every_other_number_is_allowed() {
    for spec in [ALL, CLOSED] {
        let rows = table(spec);
        for number in 0..UNREVIEWED.into() {
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
fn the_broker_gets_every_refusal_and_every_row_of_its_own() {
    for spec in [BROKER, READS] {
        let rows = table(spec);
        for number in 0..UNREVIEWED.into() {
            let arguments = if number == libc::SYS_socketpair { [UNIX.into(), 2, 0] } else { [INET.into(), 5, 6] };
            let expected = match rows.iter().find(|row| row.0 == number) {
                Some((_, Action::Refuse(EPERM) | Action::Ask)) => ASK,
                Some((_, Action::Refuse(errno))) => refusal(*errno),
                Some((libc::SYS_prlimit64, Action::AskIf(_))) => ASK,
                // Without flags, an open asks for reading.
                Some((number, Action::AskIf(_))) if OPENS.contains(number) && spec.watch_reads => ASK,
                _ => ALLOW,
            };
            let arguments = if OPENS.contains(&number) { [0, 0, 0] } else { arguments };
            assert_eq!(verdict(spec, number, &arguments), expected, "call {number}");
        }
        assert_eq!(verdict(spec, libc::SYS_ioctl, &[0, 0x5412]), ASK);
        assert_eq!(verdict(spec, libc::SYS_socket, &[38, 5, 0]), ASK);
    }
}

#[test]
fn opens_go_to_the_broker_by_their_intent() {
    let flags = |flags: i32| verdict(BROKER, libc::SYS_openat, &[0, 0, flags as u64, 0]);
    for intent in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC, libc::O_TMPFILE, libc::O_RDONLY | libc::O_CREAT] {
        assert_eq!(flags(intent), ASK, "{intent:#x}");
        assert_eq!(flags(intent | libc::O_PATH), ALLOW, "{intent:#x} with O_PATH");
    }
    for harmless in [libc::O_RDONLY, libc::O_DIRECTORY, libc::O_APPEND, libc::O_CLOEXEC | libc::O_NONBLOCK] {
        assert_eq!(flags(harmless), ALLOW, "{harmless:#x}");
    }
}

#[test]
fn on_the_host_nothing_is_shared_with_its_other_processes() {
    const HOST: FilterSpec = FilterSpec { on_host: true, ..READS };
    for number in [libc::SYS_shmget, libc::SYS_semop, libc::SYS_msgrcv, libc::SYS_mq_open] {
        assert_eq!(verdict(HOST, number, &[]), refusal(ENOSYS), "call {number}");
    }
    // Of one's own thread, nobody is asked.
    for number in [libc::SYS_sched_setaffinity, libc::SYS_sched_setparam, libc::SYS_sched_setscheduler, libc::SYS_sched_setattr] {
        assert_eq!([0, 7, 1 << 32].map(|thread| verdict(HOST, number, &[thread])), [ALLOW, ASK, ALLOW], "call {number}");
    }
    let priority = |which: u64, who: u64| [libc::SYS_setpriority, libc::SYS_ioprio_set].map(|call| verdict(HOST, call, &[which, who]));
    assert_eq!((priority(0, 0), priority(1, 0), priority(2, 0)), ([ALLOW, ASK], [ASK, ALLOW], [ASK, ASK]));
    assert_eq!((priority(0, 7), priority(1, 7)), ([ASK, ASK], [ASK, ASK]));
    assert_eq!(verdict(HOST, libc::SYS_listen, &[3, 5]), ASK);
    let socket = |family: u32, kind: i32, protocol: u64| verdict(HOST, libc::SYS_socket, &[family.into(), kind as u64, protocol]);
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    for family in [INET, libc::AF_INET6 as u32] {
        assert_eq!([0, 6, 262].map(|protocol| socket(family, libc::SOCK_STREAM | flags, protocol)), [ALLOW; 3]);
        assert_eq!([0, 17].map(|protocol| socket(family, libc::SOCK_DGRAM | flags, protocol)), [ALLOW; 2]);
        assert_eq!([1, 33, 58, 132, 136].map(|protocol| socket(family, libc::SOCK_DGRAM, protocol)), [ASK; 5]);
        assert_eq!([libc::SOCK_RAW, libc::SOCK_SEQPACKET | flags, libc::SOCK_RDM].map(|kind| socket(family, kind, 0)), [ASK; 3]);
    }
    assert_eq!(socket(UNIX, libc::SOCK_SEQPACKET, 0), ALLOW);
}

#[test]
fn a_send_goes_to_the_broker_where_it_names_an_address() {
    for (address, expected) in [(0, ALLOW), (1, ASK), (1 << 32, ASK), (u64::MAX, ASK)] {
        assert_eq!(verdict(BROKER, libc::SYS_sendto, &[3, 0, 0, 0, address, 0]), expected, "{address:#x}");
    }
}

#[test]
fn foreign_architectures_and_x32_numbers_are_refused() {
    let program = compile(ALL);
    assert_eq!(run(&program, 0x4000_0003, libc::SYS_getpid as u32, [0; 6]).0, libc::SECCOMP_RET_KILL_PROCESS);
    assert_eq!(run(&program, NATIVE, libc::SYS_getpid as u32 | 0x4000_0000, [0; 6]).0, refusal(ENOSYS));
}

#[test]
fn calls_that_nobody_has_looked_at_are_missing() {
    for spec in [ALL, BROKER] {
        let program = compile(spec);
        for number in [UNREVIEWED, UNREVIEWED + 1, 512, 520, 547, 1023, u32::MAX] {
            assert_eq!(run(&program, NATIVE, number, [0; 6]).0, refusal(ENOSYS), "{number}");
        }
        assert_ne!(run(&program, NATIVE, UNREVIEWED - 2, [0; 6]).0, refusal(ENOSYS), "file_getattr is known, and harmless");
    }
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

//! System calls, socket families and terminal requests that the filter refuses.

use srt_tests::{Area, Identity, for_each_identity};

/// How the filter answers.
const REFUSED: &[&str] = &["EPERM", "ENOSYS"];

/// Calls, and what the kernel answers outside: the same for root and an ordinary user, so it is the filter that makes the difference.
const CALLS: &[(&str, &[&str])] = &[
    ("mount", &["EFAULT"]),
    ("umount", &["EFAULT"]),
    ("chroot", &["EFAULT"]),
    ("setns", &["EBADF"]),
    ("open_tree", &["EFAULT"]),
    ("fsconfig", &["EINVAL"]),
    ("mount_setattr", &["EINVAL"]),
    ("clone3", &["EINVAL"]),
    ("keyctl", &["ok"]),
    ("add_key", &["EFAULT"]),
    ("request_key", &["EFAULT"]),
    ("perf_event_open", &["EFAULT"]),
    ("userfaultfd", &["ok"]),
    ("open_by_handle_at", &["EFAULT"]),
    ("io_uring_setup", &["EFAULT"]),
    ("io_uring_enter", &["EBADF"]),
    // Older kernels look at the descriptor first.
    ("io_uring_register", &["EINVAL", "EBADF"]),
];

/// Calls that an ordinary user is refused outside too, or that a kernel may lack: root's answer is the control, where it tells anything.
const CALLS_OF_ROOT: &[&str] = &[
    "pivot_root",
    "move_mount",
    "fsopen",
    "fsmount",
    "fspick",
    "bpf",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
];

#[test]
fn dangerous_calls_are_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for (call, outside) in CALLS {
            let control = area.probe_outside(&[call]).run().out();
            // A host hardened by sysctl may refuse some of them to everybody; Debian's answers EACCES to perf_event_open.
            if !outside.contains(&control.as_str()) && control != "EACCES" && !REFUSED.contains(&control.as_str()) {
                panic!("{call} outside as {}: {control}, and not one of {outside:?}", who.name);
            }
            area.probe(&area.rules(), &[call]).run().assert_prints_one_of(REFUSED);
        }
        for call in CALLS_OF_ROOT {
            area.probe(&area.rules(), &[call]).run().assert_prints_one_of(REFUSED);
        }
    });
}

#[test]
fn clone3_does_not_exist_so_that_the_c_library_falls_back() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&area.rules(), &["clone3"]).run().assert_prints("ENOSYS");
        // Threads and processes come to be all the same.
        area.shell(&area.rules(), "(echo child) | cat").run().assert_prints("child");
    });
}

const NAMESPACES: &[(&str, &str)] = &[
    ("user", "0x10000000"),
    ("mount", "0x20000"),
    ("pid", "0x20000000"),
    ("net", "0x40000000"),
    ("ipc", "0x8000000"),
    ("uts", "0x4000000"),
    ("cgroup", "0x2000000"),
    ("user and net", "0x50000000"),
];

#[test]
fn no_namespace_can_be_made() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe_outside(&["unshare", "0x10000000"]).run().assert_prints("ok");
        area.probe_outside(&["clone", "0x10000000"]).run().assert_prints("ok");
        for (kind, flags) in NAMESPACES {
            for call in ["unshare", "clone"] {
                let outcome = area.probe(&area.rules(), &[call, flags]).run();
                assert!(REFUSED.contains(&outcome.out().as_str()), "{call} of a {kind} namespace\n{outcome}");
            }
        }
        area.probe(&area.rules(), &["unshare", "0x80"]).run().assert_prints_one_of(REFUSED);
        area.probe(&area.rules(), &["clone", "0"]).run().assert_prints("ok");
    });
}

/// The kernel takes 32 bits of these arguments; a filter that compares 64 would be passed by garbage in the upper half.
#[test]
fn garbage_in_the_upper_half_of_an_argument_does_not_pass_the_filter() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe_outside(&["clone", "0x7fffffff10000000"]).run().assert_prints("ok");
        area.probe(&area.rules(), &["clone", "0x7fffffff10000000"]).run().assert_prints_one_of(REFUSED);
        // A family that is in every kernel; others may be modules.
        let netlink = ["0x100000010", "3", "0x10000000f"];
        area.probe_outside(&["raw-socket", netlink[0], netlink[1], netlink[2]]).run().assert_prints("ok");
        for socket in [["0x100000028", "1", "0"], ["0x7fffffff00000028", "0x100000001", "0"], netlink] {
            let outcome = area.probe(&area.rules(), &["raw-socket", socket[0], socket[1], socket[2]]).run();
            assert!(["EPERM", "EAFNOSUPPORT"].contains(&outcome.out().as_str()), "{socket:?}\n{outcome}");
        }
    });
}

/// `ENOTTY` outside, because `/dev/null` is no terminal: the filter must not look at the descriptor, nor at the upper half of the request.
#[test]
fn terminal_injection_is_refused_whatever_the_upper_half_of_the_register_holds() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for request in ["0x5412", "0x100005412", "0x7fffffff00005412", "0x541c", "0x10000541c"] {
            area.probe_outside(&["ioctl", "/dev/null", request]).run().assert_prints("ENOTTY");
            area.probe(&area.rules(), &["ioctl", "/dev/null", request]).run().assert_prints_one_of(REFUSED);
        }
        // TCGETS asks for nothing dangerous.
        area.probe(&area.rules(), &["ioctl", "/dev/null", "0x5401"]).run().assert_prints("ENOTTY");
    });
}

fn sockets(who: Identity, list: &[(&str, &str, &str)], expected: &[&str]) {
    let area = Area::new(who);
    for (family, kind, protocol) in list {
        let outcome = area.probe(&area.rules(), &["socket", family, kind, protocol]).run();
        assert!(expected.contains(&outcome.out().as_str()), "socket({family}, {kind}, {protocol})\n{outcome}");
    }
}

#[test]
fn only_the_families_of_ordinary_programs_exist() {
    let usual = [("2", "1", "0"), ("2", "2", "0"), ("10", "1", "0"), ("10", "2", "0"), ("16", "3", "0")];
    // BLUETOOTH, VSOCK, ALG, PACKET, XDP, KEY, TIPC, CAN; netlink protocols other than ROUTE; a family number no kernel has.
    let others = [
        ("31", "3", "0"),
        ("40", "1", "0"),
        ("38", "5", "0"),
        ("17", "3", "0"),
        ("17", "2", "0"),
        ("44", "3", "0"),
        ("15", "3", "2"),
        ("30", "1", "0"),
        ("29", "3", "1"),
        ("16", "3", "9"),
        ("16", "3", "12"),
        ("16", "3", "15"),
        ("16", "3", "16"),
        ("16", "2", "4"),
        ("4096", "1", "0"),
    ];
    for_each_identity(|who| {
        sockets(who, &usual, &["ok"]);
        sockets(who, &others, &["EPERM", "EAFNOSUPPORT", "EACCES", "EPROTONOSUPPORT"]);
        // VSOCK would lead to the hypervisor and exists outside on most hosts.
        sockets(who, &[("40", "1", "0"), ("16", "3", "15")], &["EPERM", "EAFNOSUPPORT"]);
    });
}

#[test]
fn raw_sockets_cannot_be_made_even_by_root() {
    for_each_identity(|who| sockets(who, &[("2", "3", "1"), ("10", "3", "58"), ("2", "3", "255")], &["EPERM", "EACCES"]));
}

#[test]
fn other_tables_of_system_calls_are_closed() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for call in ["x32-getpid", "int80-getpid"] {
            let outcome = area.probe(&area.rules(), &[call]).run();
            let killed = outcome.code() == Some(128 + 31);
            assert!(killed || REFUSED.contains(&outcome.out().as_str()), "{call}\n{outcome}");
        }
    });
}

/// Kernels grow calls that the filter's table does not know: they are missing inside, as on the kernel before.
#[test]
fn calls_that_are_newer_than_the_table_are_missing() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&area.rules(), &["later-calls", "470", "600"]).run().assert_prints("none");
    });
}

#[test]
fn the_filter_is_on_and_no_new_privileges_is_set() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&area.rules(), &["nnp"]).run().assert_prints("1");
        area.probe(&area.rules(), &["seccomp-mode"]).run().assert_prints("2");
    });
}

#[test]
fn debuggers_work_on_processes_of_the_sandbox() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&area.rules(), &["ptrace-child"]).run().assert_prints("ok");
    });
}

#[test]
fn the_host_name_stays() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&area.rules(), &["sethostname", "changed"]).run().assert_prints_one_of(REFUSED);
    });
}

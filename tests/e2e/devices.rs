//! `/dev`, `/proc` and `/sys` inside.

use srt_tests::{Area, Rules, for_each_identity};

#[test]
fn the_usual_devices_work() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "
            echo x >/dev/null && head -c 3 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c && head -c 3 /dev/random | wc -c
            { echo x >/dev/full; } 2>/dev/null || echo full
            # A pipe of the command's own: one of another user could not be opened by name outside either.
            (echo out >/dev/stdout) | cat; (echo out >/dev/fd/1) | cat; echo in | cat /dev/stdin; cat <(echo substituted); : >/dev/shm/x && echo shm; ls -d /dev/fd /dev/pts /dev/ptmx";
        let outcome = area.srt(&area.rules()).args(&["bash", "-c", script]).run();
        outcome.assert_prints("3\n3\n3\nfull\nout\nout\nin\nsubstituted\nshm\n/dev/fd\n/dev/ptmx\n/dev/pts");
    });
}

#[test]
fn no_other_device_exists() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let usual = "char core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero console";
        let outcome = area.probe(&area.rules(), &["readdir", "/dev"]).run();
        for name in outcome.out().split(' ') {
            assert!(usual.split(' ').any(|known| known == name), "/dev/{name} exists inside\n{outcome}");
        }
    });
}

#[test]
fn device_nodes_cannot_be_made_even_by_root() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for kind in ["char", "block"] {
            area.probe(&area.rules(), &["mknod", kind, &area.text("work/node")]).run().assert_prints_one_of(&["EPERM", "EACCES"]);
            assert!(!area.has("work/node"));
        }
    });
}

#[test]
fn the_hosts_shared_memory_is_not_seen() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let name = format!("/dev/shm/srt-tests-{}-{}", std::process::id(), who.name);
        if std::fs::write(&name, "x").is_err() {
            srt_tests::skip!("{}: the host has no /dev/shm", who.name);
        }
        let outcome = area.probe(&area.rules(), &["stat", &name]).run();
        drop(std::fs::remove_file(&name));
        outcome.assert_prints("ENOENT");
    });
}

#[test]
fn a_pseudo_terminal_can_be_opened() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&area.rules(), &["openpty"]).run().assert_out_has("/dev/pts/");
    });
}

#[test]
fn proc_shows_the_sandboxs_processes_only() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = area.probe(&area.rules(), &["pids"]).run();
        let pids: Vec<u32> = outcome.out().split(' ').filter_map(|pid| pid.parse().ok()).collect();
        assert!(pids.first() == Some(&1) && pids.len() <= 3, "{outcome}");
    });
}

/// Kernel-wide knobs: a root caller could change the host through them.
#[test]
fn kernel_knobs_are_read_only_for_root_too() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let knobs = [
            "/proc/sys/kernel/hostname",
            "/proc/sys/kernel/core_pattern",
            "/proc/sys/vm/drop_caches",
            "/proc/sys/net/ipv4/ip_forward",
            "/proc/sysrq-trigger",
            "/proc/irq/default_smp_affinity",
            "/sys/kernel/profiling",
            "/sys/power/state",
            "/sys/kernel/mm/transparent_hugepage/enabled",
        ];
        for knob in knobs.iter().filter(|knob| std::path::Path::new(knob).exists()) {
            // Opened for writing only: nothing is written even where the sandbox fails.
            area.probe(&area.rules(), &["open", knob, "0o1"]).run().assert_prints_one_of(&["EROFS", "EACCES", "EPERM", "ENOENT"]);
        }
    });
}

#[test]
fn kernel_memory_cannot_be_read_by_root_either() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for file in ["/proc/kcore", "/proc/kmsg", "/dev/mem", "/dev/kmsg", "/sys/kernel/debug", "/sys/kernel/security"] {
            let outcome = area.probe(&area.rules(), &["cat", file]).run();
            let hidden = ["EACCES", "EPERM", "ENOENT", "EISDIR", ""];
            outcome.assert_prints_one_of(&hidden);
        }
    });
}

#[test]
fn the_device_directory_is_not_a_way_to_host_files() {
    for_each_identity(|who| {
        let area = Area::new(who);
        // Also with a write root above it: what is mounted on /dev is the sandbox's own.
        area.probe(&Rules::new().allow_write("/dev"), &["readdir", "/dev"]).run().assert_out_has("null");
        assert!(!std::path::Path::new("/dev/srt-test").exists());
        area.shell(&area.rules(), "echo x >/dev/srt-test; true").run();
        assert!(!std::path::Path::new("/dev/srt-test").exists());
    });
}

/// The switches of the kernel belong to the host, even where all its files are the command's.
#[test]
fn sys_is_read_only_when_everything_else_may_be_written() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let switches =
            ["/sys/kernel/profiling", "/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/fs/cgroup/cgroup.procs"];
        let present: Vec<_> = switches.iter().filter(|file| std::path::Path::new(file).exists()).collect();
        assert!(!present.is_empty(), "the host has none of {switches:?}");
        let disabled = Rules::new().set("filesystem", "disabled", serde_json::json!(true));
        for rules in [Rules::new().allow_write("/"), disabled, Rules::new().allow_write("/").allow_write("/sys/kernel")] {
            area.probe(&rules, &["create", &area.text("outside/made")]).run().assert_prints("ok");
            std::fs::remove_file(area.path("outside/made")).expect("it was just made");
            for switch in &present {
                // Opened for writing only: nothing is written even where the sandbox fails.
                area.probe(&rules, &["open", switch, "0o1"]).run().assert_prints_one_of(&["EROFS", "EACCES", "EPERM"]);
            }
            area.probe(&rules, &["open", "/proc/sys/kernel/core_pattern", "0o1"]).run().assert_prints_one_of(&["EROFS", "EACCES", "EPERM"]);
        }
    });
}

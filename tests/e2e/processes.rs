//! The process tree: its limits and its end.

use rustix::process::Signal;
use srt_tests::{Area, as_root, as_user, for_each_identity, procs};

#[test]
fn all_five_capability_sets_are_empty() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let empty = ["0000000000000000"; 5].join(" ");
        area.probe(&area.rules(), &["caps"]).run().assert_prints(&empty);
        // Neither does a program gain any by being executed, set-uid root or not.
        let probe = srt_tests::probe().display().to_string();
        area.shell(&area.rules(), &format!("exec env {probe} caps")).run().assert_prints(&empty);
    });
}

#[test]
fn processes_of_the_host_cannot_be_signalled() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let marker = procs::marker("host");
        let bystander = area.probe_outside(&["sleep", "60", &marker]).spawn();
        procs::assert_appears(&marker);
        let pid = bystander.id().to_string();
        area.probe_outside(&["kill", &pid, "0"]).run().assert_prints("ok");
        let outcome = area.probe(&area.rules(), &["kill", &pid, "9"]).run();
        outcome.assert_prints_one_of(&["ESRCH", "EPERM"]);
        assert_eq!(procs::marked(&marker), [bystander.id()]);
        bystander.signal(Signal::KILL);
        bystander.wait();
    });
}

#[test]
fn the_first_process_cannot_be_killed_or_read_from_inside() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "kill -9 1; kill -STOP 1; kill -TERM 1
            for f in mem environ maps auxv stack syscall pagemap io fd/0 fd/1 fd/3 fd/7; do cat /proc/1/$f; done 2>/dev/null
            for f in root cwd; do ls /proc/1/$f/; done 2>/dev/null
            readlink /proc/1/exe /proc/1/cwd /proc/1/root /proc/1/fd/*; echo end";
        area.shell(&area.rules(), script).run().assert_prints("end").assert_code(0);
        area.probe(&area.rules(), &["ptrace", "1"]).run().assert_prints_one_of(&["EPERM", "EACCES", "ESRCH"]);
        for descriptor in ["0", "3", "4", "5", "6", "7", "8"] {
            area.probe(&area.rules(), &["pidfd-getfd", "1", descriptor]).run().assert_prints_one_of(&["EPERM", "EACCES", "ENOSYS"]);
        }
    });
}

#[test]
fn background_children_end_with_the_command() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let marker = procs::marker("background");
        let probe = srt_tests::probe().display();
        let script = format!("{probe} sleep 300 {marker} >/dev/null 2>&1 & {probe} spawn-orphan {marker}; exit 3");
        area.shell(&area.rules(), &script).run().assert_code(3);
        procs::assert_gone(&marker);
    });
}

#[test]
fn nothing_outlives_a_killed_srt() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let marker = procs::marker("killed");
        let probe = srt_tests::probe().display();
        let script = format!("trap '' TERM HUP INT; {probe} spawn-orphan {marker}; {probe} sleep 300 {marker} & echo up; wait");
        let mut run = area.shell(&area.rules(), &script).spawn();
        run.wait_for("up");
        procs::assert_appears(&marker);
        run.signal(Signal::KILL);
        assert_eq!(run.wait().signal(), Some(9));
        procs::assert_gone(&marker);
    });
}

#[test]
fn orphans_are_adopted_and_reaped() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'exit 0' &) ; done; sleep 0.3; grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l";
        area.shell(&area.rules(), script).run().assert_prints("0");
    });
}

/// Made by root, run by the user: outside it changes the uid, inside it must not.
#[test]
fn a_set_uid_program_gains_nothing() {
    as_root(|root| {
        let maker = Area::new(root);
        let tool = maker.path("outside/set-uid");
        let made = std::process::Command::new("install").args(["-m", "4755"]).arg(srt_tests::probe()).arg(&tool).status();
        assert!(made.is_ok_and(|status| status.success()));
        as_user(|user| {
            let area = Area::new(user);
            area.outside(&tool).args(&["ids"]).run().assert_out_has(&format!("{},0,0,0", user.uid));
            let mine = format!("{0},{0},{0},{0}", user.uid);
            area.srt(&area.rules()).args(&[&tool.display().to_string(), "ids"]).run().assert_out_has(&mine);
        });
    });
}

#[test]
fn shared_memory_and_queues_of_the_host_are_not_seen() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let inside = area.probe(&area.rules(), &["readlink", "/proc/self/ns/ipc"]).run().assert_code(0).out();
        let outside = area.probe_outside(&["readlink", "/proc/self/ns/ipc"]).run().assert_code(0).out();
        assert_ne!(inside, outside);
    });
}

#[test]
fn every_namespace_is_the_sandboxs_own() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
            let path = format!("/proc/self/ns/{kind}");
            let inside = area.probe(&area.rules(), &["readlink", &path]).run().assert_code(0).out();
            let outside = area.probe_outside(&["readlink", &path]).run().assert_code(0).out();
            assert_ne!(inside, outside, "{kind}");
        }
    });
}

#[test]
fn a_fork_of_many_processes_works() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.shell(&area.rules(), "i=0; while [ $i -lt 300 ]; do /bin/true & i=$((i+1)); done; wait; echo end").run().assert_prints("end");
    });
}

#[test]
fn a_sandbox_inside_a_sandbox_is_a_clear_refusal_or_works() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        let srt = srt_tests::srt().display().to_string();
        let outcome = area.srt(&area.rules()).args(&[&srt, "run", "--settings", &settings, "--", "touch", "mark"]).run();
        if outcome.code() != Some(0) {
            outcome.assert_refused();
            assert!(!area.has("work/mark"));
        }
    });
}

/// The first process of a pid namespace that another made: its process group lies outside and has no number there.
#[test]
fn srt_runs_where_its_process_group_has_no_number() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let own: &[&str] = if who.is_root() { &["--pid"] } else { &["--user", "--map-root-user", "--pid"] };
        let words = area.probe(&area.rules(), &["create", &area.text("work/made")]).words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let inside = area.outside("/usr/bin/unshare").args(own).args(&["--fork", "--mount-proc"]);
        inside.args(&words).run().assert_prints("ok").assert_code(0);
        assert!(area.has("work/made"));
    });
}

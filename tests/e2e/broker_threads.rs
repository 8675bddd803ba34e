//! Many callers, callers with a state of their own, callers under fire.

use srt_tests::{Area, each, for_each_identity};

#[test]
fn sixty_four_threads_create_files_at_once() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe_outside(&["create-by-threads", "../outside", "64", "50"]).run().assert_prints("3200");
        area.probe(&area.rules(), &["create-by-threads", ".", "64", "50"]).limit(180).run().assert_prints("3200");
        for name in (0..64).flat_map(|thread| (0..50).map(move |file| format!("{thread}-{file}"))) {
            assert_eq!(area.content(&format!("work/{name}")), name, "a file holds what its own thread wrote");
        }
    });
}

#[test]
fn a_hundred_blocked_opens_hold_nobody_else_up() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe_outside(&["blocked-fifos", "../outside", "100"]).run().assert_prints("early=0 opened=100");
        area.probe(&area.rules(), &["blocked-fifos", ".", "100"]).run().assert_prints("early=0 opened=100");
    });
}

#[test]
fn a_server_that_accepts_nobody_holds_nobody_else_up() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outside = area.probe_outside(&["blocked-connects", "../outside", "20"]).run();
        outside.assert_prints("early=false EAGAIN=1 connected=20");
        area.probe(&area.rules(), &["blocked-connects", ".", "20"]).run().assert_prints(&outside.out());
    });
}

/// errno 512 (ERESTARTSYS) is the kernel's own affair: it must never be seen.
#[test]
fn a_storm_of_signals_that_restart_calls_is_not_noticed() {
    for_each_identity(|who| {
        each(["100", "20"], |period| {
            let area = Area::new(who);
            area.dir("outside/s");
            area.dir("work/s");
            area.probe_outside(&["storm", "restart", period, "5000", "../outside/s"]).run().assert_prints("ok=30000 signals=many");
            area.probe(&area.rules(), &["storm", "restart", period, "5000", "s"]).limit(180).run().assert_prints("ok=30000 signals=many");
        });
    });
}

/// A call that waits to be received by the broker can be interrupted, and a handler without SA_RESTART makes that EINTR (seccomp_unotify(2)); the probe calls again. Each call
/// is made once or not at all: nothing is there already, and nothing is gone.
#[test]
fn a_storm_of_signals_that_interrupt_calls_makes_no_call_twice() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.dir("outside/s");
        area.dir("work/s");
        area.probe_outside(&["storm", "plain", "100", "5000", "../outside/s"]).run().assert_prints("ok=30000 signals=many");
        area.probe(&area.rules(), &["storm", "plain", "100", "5000", "s"]).limit(180).run().assert_prints("ok=30000 signals=many");
    });
}

#[test]
fn callers_that_are_killed_in_mid_call_leave_the_others_served() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.dir("work/s");
        area.probe_outside(&["kill-storm", "../outside", "20"]).run().assert_prints("x");
        area.probe(&area.rules(), &["kill-storm", "s", "500"]).limit(180).run().assert_prints("x");
    });
}

/// A whole process group that dies while all its members wait in the broker.
#[test]
fn the_end_of_many_blocked_callers_frees_what_they_held() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "mkfifo p; for round in 1 2 3 4 5 6 7 8; do
            for i in $(seq 40); do sh -c 'echo x >p' & done; sleep 0.1; kill -KILL $(jobs -p) 2>/dev/null; wait; done 2>/dev/null
            echo x >file && cat file";
        area.srt(&area.rules()).args(&["bash", "-c", script]).run().assert_prints("x").assert_code(0);
    });
}

#[test]
fn a_thread_with_a_working_directory_of_its_own_creates_there() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.dir("outside/d");
        area.dir("work/d");
        area.probe_outside(&["own-cwd", "../outside/d", "outside-name"]).run().assert_prints("ok");
        assert!(area.has("outside/d/outside-name") && area.has("work/outside-name"));
        area.probe(&area.rules(), &["own-cwd", "d", "name"]).run().assert_prints("ok");
        assert!(area.has("work/d/name") && area.has("work/name"));
    });
}

#[test]
fn a_thread_with_a_umask_of_its_own_creates_with_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe_outside(&["own-umask", "../outside/f"]).run().assert_prints("600");
        area.probe(&area.rules(), &["own-umask", "f"]).run().assert_prints("600");
    });
}

/// Below Linux 6.9 a descriptor of a process names its first thread only: there the call may be refused, but never done elsewhere.
#[test]
fn a_thread_with_descriptors_of_its_own_creates_below_its_own_ones() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for place in ["outside", "work"] {
            area.dir(&format!("{place}/mine"));
            area.dir(&format!("{place}/theirs"));
        }
        area.probe_outside(&["own-table", "../outside/mine", "../outside/theirs", "name"]).run().assert_prints("ok");
        assert!(area.has("outside/mine/name") && !area.has("outside/theirs/name"));
        let outcome = area.probe(&area.rules(), &["own-table", "mine", "theirs", "name"]).run();
        assert!(!area.has("work/theirs/name"), "the table of another thread was used\n{outcome}");
        if area.has("work/mine/name") {
            outcome.assert_prints("ok");
            assert_eq!(area.content("work/mine/name"), "x");
        } else {
            assert!(!own_tables_are_named(), "this kernel names threads\n{outcome}");
            outcome.assert_prints_one_of(&["EPERM", "EACCES", "ENOSYS", "EOPNOTSUPP"]);
        }
    });
}

/// PIDFD_THREAD came with Linux 6.9 (pidfd_open(2)).
fn own_tables_are_named() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(9))
}

#[test]
fn a_process_that_nobody_may_look_into_is_served() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe_outside(&["undumpable", "../outside/f"]).run().assert_prints("ok");
        area.probe(&area.rules(), &["undumpable", "f"]).run().assert_prints("ok");
        // Its denials are denials all the same.
        area.probe(&area.rules().deny_write(area.text("work/missing")), &["undumpable", "missing"]).run().assert_prints("EPERM");
        assert!(!area.has("work/missing"));
    });
}

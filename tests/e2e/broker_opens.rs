//! Opens through the broker leave behind what the kernel's own would: flags, modes, limits, locks, programs that can be run.
//!
//! The oracle is the same operation outside, in a twin area.

use srt_tests::{Area, Identity, each, for_each_identity};

/// Prepares a twin area and one for the run, does the same in both, and wants the same words printed and the same files left.
#[track_caller]
fn same_as_outside(who: Identity, prepare: impl Fn(&Area), operation: &[&str]) -> String {
    let (twin, area) = (Area::new(who), Area::new(who));
    prepare(&twin);
    prepare(&area);
    let outside = twin.probe_outside(operation).run();
    let inside = area.probe(&area.rules(), operation).run();
    assert_eq!((inside.out(), inside.code()), (outside.out(), outside.code()), "{operation:?}\n{inside}");
    assert_eq!(names(&area), names(&twin), "{operation:?} left something else\n{inside}");
    outside.out()
}

/// Names, modes and sizes below `work/`.
fn names(area: &Area) -> String {
    area.outside("/usr/bin/find")
        .args(&[".", "-printf", "%P %M %s %l\\n"])
        .run()
        .out()
        .lines()
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .join("\n")
}

/// O_WRONLY, O_RDWR; O_CREAT 0o100, O_EXCL 0o200, O_TRUNC 0o1000, O_APPEND 0o2000, O_NONBLOCK 0o4000, O_DSYNC 0o10000, O_NOFOLLOW
/// 0o400000, O_NOATIME 0o1000000, O_CLOEXEC 0o2000000, O_SYNC 0o4010000.
const FLAGS: &[&str] = &[
    "0o1",
    "0o2",
    "0o101",
    "0o102",
    "0o301",
    "0o1101",
    "0o2101",
    "0o4102",
    "0o14101",
    "0o400101",
    "0o1000102",
    "0o2000101",
    "0o2006302",
    "0o4010101",
    "0o100",
    "0o300",
    "0o1000",
];

#[test]
fn flags_and_mode_of_a_new_descriptor_are_those_that_were_asked_for() {
    for_each_identity(|who| {
        each(FLAGS, |flags| {
            for name in ["there", "new"] {
                same_as_outside(who, |area| drop(area.file("work/there", "kept")), &["open-state", name, flags, "0o640", "0o022"]);
            }
        });
    });
}

#[test]
fn umask_and_mode_make_the_mode_of_what_is_made() {
    for_each_identity(|who| {
        for call in ["open", "mkdir", "mkfifo", "mknod"] {
            for (mode, umask) in [("0o666", "0o022"), ("0o777", "0o077"), ("0o1777", "0"), ("0o604", "0o007"), ("0", "0")] {
                same_as_outside(who, |_| (), &["made-mode", call, "new", mode, umask]);
            }
        }
    });
}

#[test]
fn what_is_made_belongs_to_its_maker() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.shell(&area.rules(), "touch f; mkdir d; ln -s f l; mkfifo p").run().assert_code(0);
        for name in ["f", "d", "l", "p"] {
            use std::os::unix::fs::MetadataExt;
            let meta = area.path(&format!("work/{name}")).symlink_metadata().expect("it was made");
            assert_eq!((meta.uid(), meta.gid()), (who.uid, who.gid), "{name}");
        }
    });
}

#[test]
fn an_exclusive_create_of_an_existing_name_fails_and_truncates_nothing() {
    for_each_identity(|who| {
        let printed = same_as_outside(who, |area| drop(area.file("work/there", "kept")), &["open-state", "there", "0o1301", "0o644", "0"]);
        assert_eq!(printed, "EEXIST");
        let dangling = |area: &Area| drop(area.link("nowhere", "work/link"));
        assert_eq!(same_as_outside(who, dangling, &["open-state", "link", "0o301", "0o644", "0"]), "EEXIST");
        assert!(same_as_outside(who, dangling, &["open-state", "link", "0o101", "0o644", "0"]).starts_with("fd="));
    });
}

#[test]
fn appending_and_truncating_do_what_they_say() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script =
            "echo one >f; echo two >>f; cat f; : >f; wc -c <f; echo x >|f; printf abc 1<>f; cat f; (echo p & echo q & wait) >>f; wc -l <f";
        let outside = area.outside("/bin/sh").args(&["-c", script]).run();
        area.shell(&area.rules(), script).run().assert_prints(&outside.out()).assert_code(0);
    });
}

#[test]
fn the_limit_on_descriptors_is_the_callers() {
    for_each_identity(|who| {
        for limit in ["8", "64", "1000"] {
            assert_eq!(same_as_outside(who, |_| (), &["open-until-full", limit, "file"]), "EMFILE");
        }
    });
}

#[test]
fn the_limit_on_file_sizes_is_the_callers() {
    for_each_identity(|who| {
        for call in ["truncate", "ftruncate"] {
            let printed = same_as_outside(who, |area| drop(area.file("work/f", "kept")), &["beyond-size-limit", call, "4096", "f"]);
            assert_eq!(printed, "EFBIG");
        }
    });
}

#[test]
fn a_file_without_a_name_gets_one_afterwards() {
    for_each_identity(|who| {
        assert_eq!(same_as_outside(who, |_| (), &["tmpfile-link", ".", "named"]), "ok");
        let printed = same_as_outside(who, |area| drop(area.file("work/there", "kept")), &["tmpfile-link", ".", "there"]);
        assert_eq!(printed, "EEXIST");
    });
}

#[test]
fn locks_belong_to_the_open_file_description() {
    for_each_identity(|who| assert_eq!(same_as_outside(who, |_| (), &["two-locks", "lock"]), "EAGAIN"));
}

#[test]
fn a_program_can_be_run_as_soon_as_it_was_written() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe_outside(&["write-and-run", ".", "4", "25"]).run().assert_prints("100");
        area.probe(&area.rules(), &["write-and-run", ".", "4", "500"]).limit(180).run().assert_prints("2000");
    });
}

/// Written through a shell, which is how build scripts do it: no lock keeps one child from inheriting a descriptor of another.
#[test]
fn a_script_can_be_run_as_soon_as_it_was_written() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "i=0; while [ $i -lt 300 ]; do cp /bin/true t$1; chmod +x t$1; ./t$1 || exit 1; rm t$1; i=$((i+1)); done; echo ran";
        let text = format!("w() {{ {script}; }}; w 1 & w 2 & w 3 & wait");
        area.shell(&area.rules(), &text).run().assert_prints("ran\nran\nran").assert_code(0);
    });
}

#[test]
fn an_open_of_a_fifo_waits_for_the_other_end() {
    let script = "mkfifo p; (echo through >p; echo written >&2) & sleep 0.2; cat p; wait";
    for_each_identity(|who| {
        let area = Area::new(who);
        area.shell(&area.rules(), script).run().assert_prints("through").assert_err_has("written").assert_code(0);
        // O_WRONLY | O_NONBLOCK without a reader, and O_RDWR, which never waits.
        let fifo = |area: &Area| drop(area.outside("/usr/bin/mkfifo").args(&["p"]).run());
        assert_eq!(same_as_outside(who, fifo, &["open-state", "p", "0o4001", "0", "0"]), "ENXIO");
        assert!(same_as_outside(who, fifo, &["open-state", "p", "0o2", "0", "0"]).starts_with("fd="));
    });
}

#[test]
fn a_signal_handler_ends_the_wait_for_a_fifo_unless_it_restarts_calls() {
    for_each_identity(|who| {
        let fifo = |area: &Area| drop(area.outside("/usr/bin/mkfifo").args(&["p"]).run());
        assert_eq!(same_as_outside(who, fifo, &["fifo-interrupted", "plain", "p"]), "EINTR");
        assert_eq!(same_as_outside(who, fifo, &["fifo-interrupted", "restart", "p"]), "ok");
    });
}

#[test]
fn a_process_that_waits_for_a_fifo_can_be_killed() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script =
            "mkfifo p; sh -c 'echo x >p' & sleep 0.2; kill -KILL $!; wait $!; echo status $?; (cat p >got &) ; echo late >p; echo end";
        area.shell(&area.rules(), script).run().assert_prints("status 137\nend").assert_code(0);
    });
}

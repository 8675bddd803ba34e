//! What the command shares with its caller: files on descriptors, terminal, process group, devices.
//!
//! None of these is reached by a path, so mounts alone do not protect it.

use std::os::unix::fs::MetadataExt;

use srt_tests::terminal::Terminal;
use srt_tests::{Area, Identity, Rules, as_root, as_user, for_each_identity, procs};

const READ_ONLY: &[&str] = &["EROFS", "EACCES", "EPERM"];

/// Ways to change the file on standard input, which is open for reading.
const CHANGES_OF_STDIN: &[&[&str]] = &[
    &["fchmod", "0", "666"],
    &["chmod", "666", "/proc/self/fd/0"],
    &["chmod", "666", "/dev/stdin"],
    &["utimens", "/proc/self/fd/0"],
    &["append", "/proc/self/fd/0"],
    &["truncate", "/proc/self/fd/0"],
    &["open", "/dev/fd/0", "0o2"],
];

fn each_change_of_stdin_is_denied(who: Identity, file: &str, rules: fn(&Area) -> Rules) {
    for operation in CHANGES_OF_STDIN {
        let area = Area::new(who);
        area.file(file, "kept");
        let redirect = format!("exec \"$@\" <{}", area.text(file));
        area.probe_outside(operation).through_shell(&redirect).run().assert_prints("ok");
        let program = area.probe(&rules(&area), operation).through_shell(&redirect);
        let before = area.snapshot();
        program.run().assert_prints_one_of(READ_ONLY);
        before.assert_unchanged(area.root());
    }
}

#[test]
fn a_file_outside_on_standard_input_cannot_be_changed() {
    for_each_identity(|who| each_change_of_stdin_is_denied(who, "outside/file", Area::rules));
}

#[test]
fn a_write_denied_file_on_standard_input_cannot_be_changed() {
    for_each_identity(|who| each_change_of_stdin_is_denied(who, "work/kept", |area| area.rules().deny_write(area.text("work/kept"))));
}

#[test]
fn a_protected_file_on_standard_input_cannot_be_changed() {
    for_each_identity(|who| each_change_of_stdin_is_denied(who, "work/.git/config", Area::rules));
}

/// The sandbox has a `/dev/shm` of its own, so the file cannot be opened again there: the command gets a copy, with which it may do what it likes.
#[test]
fn a_file_in_shared_memory_on_standard_input_cannot_be_changed() {
    use std::os::unix::fs::{PermissionsExt, chown};
    for_each_identity(|who| {
        let area = Area::new(who);
        let file = format!("/dev/shm/srt-tests-stdin-{}-{}", std::process::id(), who.name);
        let made = std::fs::write(&file, "kept").and_then(|()| chown(&file, Some(who.uid), Some(who.gid)));
        if made.is_err() {
            srt_tests::skip!("{}: the host has no /dev/shm", who.name);
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        let probe = srt_tests::probe().display();
        let script = format!("cat; {probe} fchmod 0 666; {probe} append /proc/self/fd/0; {probe} truncate /proc/self/fd/0; echo end");
        let outcome = area.shell(&area.rules(), &script).through_shell(&format!("exec \"$@\" <{file}")).run();
        let mode = std::fs::metadata(&file).map_or(0, |meta| meta.mode() & 0o777);
        let after = (std::fs::read_to_string(&file).unwrap_or_default(), mode);
        drop(std::fs::remove_file(&file));
        assert_eq!(after, ("kept".to_owned(), 0o600), "{outcome}");
        assert!(outcome.out().starts_with("kept"), "{outcome}");
    });
}

#[test]
fn a_partly_read_standard_input_goes_on_where_it_was() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "one\ntwo\nthree\n");
        let redirect = format!("exec <{}; read line; exec \"$@\"", area.text("outside/file"));
        area.srt(&area.rules()).args(&["cat"]).through_shell(&redirect).run().assert_prints("two\nthree");
    });
}

#[test]
fn standard_input_from_procfs_works() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.srt(&area.rules()).args(&["cat"]).through_shell("exec \"$@\" </proc/cpuinfo").run().assert_code(0).assert_out_has("processor");
    });
}

#[test]
fn a_hidden_file_on_standard_input_is_refused_with_a_hint() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "secret");
        let redirect = format!("exec \"$@\" <{}", area.text("outside/file"));
        for hidden in ["outside/file", "outside"] {
            let outcome = area.shell(&area.rules().deny_read(area.text(hidden)), "cat").through_shell(&redirect).run();
            outcome.assert_refused().assert_err_has("hint: ").assert_err_has("outside/file");
        }
    });
}

/// Ways to change the scheduling of the caller's process group: `PRIO_PGRP`, and `IOPRIO_WHO_PGRP` with the idle class.
const SLOWING: &[&[&str]] = &[&["setpriority", "1", "0", "19"], &["ioprio-set", "2", "0", "0x6000"]];

/// Starts `program` in a group with a process that does nothing; its answer, the bystander's nice value and its scheduling class.
fn beside_a_bystander(area: &Area, program: srt_tests::Program) -> (String, Option<String>, String) {
    let marker = procs::marker("beside");
    let bystander = format!("{} sleep 60 {marker} >/dev/null 2>&1 & exec \"$@\"", srt_tests::probe().display());
    let answer = program.in_own_group().through_shell(&bystander).run().out();
    procs::assert_appears(&marker);
    let pid = procs::marked(&marker)[0];
    let class = area.outside("/usr/bin/ionice").args(&["-p", &pid.to_string()]).run().out();
    let nice = procs::stat_field(pid, 19);
    area.outside("/bin/kill").args(&["-KILL", &pid.to_string()]).run();
    (answer, nice, class)
}

#[test]
fn the_callers_process_group_cannot_be_slowed_down() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let untouched = beside_a_bystander(&area, area.probe_outside(&["limits", "0"]));
        for operation in SLOWING {
            let outside = beside_a_bystander(&area, area.probe_outside(operation));
            assert_eq!(outside.0, "ok", "{operation:?}");
            assert_ne!((&outside.1, &outside.2), (&untouched.1, &untouched.2), "{operation:?} outside must have an effect");
            let inside = beside_a_bystander(&area, area.probe(&area.rules(), operation));
            assert_eq!(inside, ("EPERM".to_owned(), untouched.1.clone(), untouched.2.clone()), "{operation:?}");
        }
        // A process may still slow itself down.
        area.probe(&area.rules(), &["setpriority", "0", "0", "19"]).run().assert_prints("ok");
    });
}

/// TIOCSETD, TIOCEXCL, KDSETMODE, KDSKBMODE, VT_SETMODE, VT_ACTIVATE.
const TERMINAL_REQUESTS: &[&str] = &["0x5423", "0x540c", "0x4b3a", "0x4b45", "0x5602", "0x5606"];

#[test]
fn the_callers_terminal_cannot_be_made_useless() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display();
        let mut script = String::new();
        for request in TERMINAL_REQUESTS {
            script += &format!("echo \"{request}-$({probe} ioctl-fd 0 {request})\"; ");
        }
        script += "echo end";
        let shown = on_terminal(&area, &area.outside("/bin/sh").args(&["-c", &script]));
        assert!(!shown.contains("EPERM"), "the control: {shown:?}");
        let shown = on_terminal(&area, &area.shell(&area.rules(), &script));
        for request in TERMINAL_REQUESTS {
            assert!(shown.contains(&format!("{request}-EPERM")), "{request}: {shown:?}");
        }
    });
}

#[test]
fn the_mode_of_the_callers_terminal_stays_and_its_name_is_found() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display();
        let script = format!(
            "echo \"one-$({probe} fchmod 0 666) two-$({probe} fchmod 2 666) three-$({probe} chmod 666 /proc/self/fd/0) four-$({probe} chmod 666 /dev/tty) name-$({probe} tty)\"; tty; echo end"
        );
        let shown = on_terminal(&area, &area.outside("/bin/sh").args(&["-c", &script]));
        assert!(shown.contains("one-ok two-ok three-ok"), "the control: {shown:?}");
        let shown = on_terminal(&area, &area.shell(&area.rules(), &script));
        assert!(shown.contains("one-EROFS two-EROFS three-EROFS four-EROFS name-/dev/"), "{shown:?}");
        assert!(!shown.contains("not a tty"), "{shown:?}");
    });
}

/// All that a program shows, up to the word `end`.
fn on_terminal(area: &Area, program: &srt_tests::Program) -> String {
    let mut terminal = Terminal::start(area, program);
    terminal.wait_for("end");
    let shown = terminal.shown();
    assert!(terminal.wait().success());
    shown
}

/// The mode is the one that the node has: where the sandbox fails, only the time of change tells.
fn null_is_left_alone(program: impl Fn(&Area, &str) -> srt_tests::Program) {
    as_root(|who| {
        let state = || std::fs::metadata("/dev/null").map(|meta| (meta.mode(), meta.ctime(), meta.ctime_nsec())).expect("the host has it");
        let area = Area::new(who);
        let before = state();
        let outcome = program(&area, &format!("{:o}", before.0 & 0o7777)).run();
        assert_eq!(state(), before, "the host's /dev/null was changed\n{outcome}");
        outcome.assert_prints_one_of(&["EROFS", "EPERM"]);
    });
}

#[test]
fn the_hosts_device_nodes_cannot_be_changed_by_name() {
    null_is_left_alone(|area, mode| area.probe(&area.rules(), &["chmod", mode, "/dev/null"]));
}

#[test]
fn the_hosts_device_nodes_cannot_be_changed_through_standard_input() {
    null_is_left_alone(|area, mode| area.probe(&area.rules(), &["fchmod", "0", mode]).through_shell("exec \"$@\" </dev/null"));
}

#[test]
fn the_hosts_device_nodes_cannot_be_changed_through_standard_error() {
    null_is_left_alone(|area, mode| area.probe(&area.rules(), &["fchmod", "2", mode]).through_shell("exec \"$@\" 2>/dev/null"));
}

/// Without descriptors PID 1 could not do its work, and srt would say that nothing was run.
#[test]
fn the_limits_of_the_first_process_stay_and_the_commands_status_is_the_end() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display();
        // Lowered only where asking was refused: on a host where the sandbox fails, 1 may be another process.
        let script = format!(
            "{probe} limits $$; answer=$({probe} limits 1); echo \"$answer\"; test \"$answer\" = EPERM && prlimit --pid 1 --nofile=0:0 2>/dev/null; : >did-run; {probe} kill 1 17; exit 3"
        );
        for _ in 0..5 {
            area.shell(&area.rules(), &script).run().assert_code(3).assert_prints("ok\nEPERM\nok");
            assert!(area.has("work/did-run"));
        }
    });
}

/// Runs `set-user-id` once per way; what it printed.
fn set_user_id(who: Identity, inside: bool) -> Vec<(String, String)> {
    let area = Area::new(who);
    let ways = area.probe_outside(&["set-user-id", "list", "-"]).run().assert_code(0).out();
    let one = |way: &str| {
        let path = area.text(&format!("work/{way}"));
        let operation = ["set-user-id", way, path.as_str()];
        let program = if inside { area.probe(&area.rules(), &operation) } else { area.probe_outside(&operation) };
        let answer = program.run().out();
        let mode = std::fs::metadata(&path).map_or(0, |meta| meta.mode() & 0o6000);
        assert_eq!(mode != 0, answer == "4755", "{way} says {answer} and left a file of mode {mode:o}");
        (way.to_owned(), answer)
    };
    ways.split(' ').map(one).collect()
}

/// It would be a way to become root for every user of the host.
#[test]
fn root_inside_leaves_no_set_user_id_file() {
    as_root(|who| {
        for (way, answer) in set_user_id(who, false) {
            assert!(answer == "4755" || (way == "fchmodat2" && answer == "ENOSYS"), "{way} outside: {answer}");
        }
        for (way, answer) in set_user_id(who, true) {
            assert!(["EPERM", "ENOSYS"].contains(&answer.as_str()), "{way}: {answer}");
        }
    });
}

/// Such a file lends the rights of its owner, which the sandboxed user could lend outside as well; and unpacking and installing would fail without it.
#[test]
fn an_ordinary_user_may_make_set_user_id_files_as_outside() {
    // openat2(2) is hidden inside, as from an older kernel.
    let ways = |who: Identity, inside| set_user_id(who, inside).into_iter().filter(|(way, _)| way != "openat2").collect::<Vec<_>>();
    as_user(|who| {
        // Below Linux 6.6 there is no fchmodat2(2); the broker does what it asks by an older call.
        let (outside, mut inside) = (ways(who, false), ways(who, true));
        let missing = ("fchmodat2".to_owned(), "ENOSYS".to_owned());
        if outside.contains(&missing) {
            inside.iter_mut().filter(|(way, answer)| way == "fchmodat2" && answer == "4755").for_each(|row| *row = missing.clone());
        }
        assert_eq!(inside, outside);
    });
}

/// `PTRACE_TRACEME` makes PID 1 the tracer, which would have to continue the command.
#[test]
fn a_command_that_asks_to_be_traced_and_stops_goes_on() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&area.rules(), &["stop-traced"]).limit(20).run().assert_prints("ok").assert_code(0);
    });
}

#[test]
fn a_command_that_stops_itself_stops_srt_and_is_continued_with_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let run = area.shell(&area.rules(), "kill -STOP $$; echo awake; exit 6").spawn();
        procs::assert_stopped(run.id());
        run.signal(rustix::process::Signal::CONT);
        run.wait().assert_prints("awake").assert_code(6);
    });
}

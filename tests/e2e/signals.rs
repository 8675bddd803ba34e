//! Signals to srt and from the terminal.

use rustix::process::Signal;
use srt_tests::{Area, for_each_identity};

const FORWARDED: &[(Signal, &str, i32)] = &[
    (Signal::TERM, "TERM", 15),
    (Signal::INT, "INT", 2),
    (Signal::HUP, "HUP", 1),
    (Signal::QUIT, "QUIT", 3),
    (Signal::USR1, "USR1", 10),
    (Signal::USR2, "USR2", 12),
];

#[test]
fn a_signal_sent_to_srt_reaches_the_command_which_decides() {
    for_each_identity(|who| {
        for (signal, name, _) in FORWARDED {
            let area = Area::new(who);
            let script = format!("trap 'echo got {name}; exit 7' {name}; echo ready; while :; do sleep 0.05; done");
            let mut run = area.shell(&area.rules(), &script).spawn();
            run.wait_for("ready");
            run.signal(*signal);
            run.wait().assert_prints(&format!("ready\ngot {name}")).assert_code(7);
        }
    });
}

#[test]
fn a_command_that_a_forwarded_signal_ends_gives_128_and_its_number() {
    for_each_identity(|who| {
        for (signal, _, number) in FORWARDED {
            let area = Area::new(who);
            // Through a shell outside, because background jobs of a shell would ignore INT and QUIT.
            let mut run = area.shell(&area.rules(), "echo ready; exec sleep 60").spawn();
            run.wait_for("ready");
            run.signal(*signal);
            run.wait().assert_code(128 + number);
        }
    });
}

#[test]
fn a_signal_that_the_command_ignores_leaves_both_alive() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "trap '' TERM INT HUP; echo ready; read line; echo \"read $line\"";
        let program = area.shell(&area.rules(), script).through_shell("mkfifo in 2>/dev/null; exec \"$@\" <>in");
        let mut run = program.spawn();
        run.wait_for("ready");
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            run.signal(signal);
        }
        std::fs::write(area.path("work/in"), "line\n").expect("the fifo has a reader");
        run.wait().assert_out_has("read line").assert_code(0);
    });
}

#[test]
fn a_command_that_ends_itself_by_a_signal_gives_128_and_its_number() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for number in [1, 2, 6, 9, 11, 13, 15] {
            area.probe(&area.rules(), &["raise", &number.to_string()]).run().assert_code(128 + number);
        }
    });
}

#[test]
fn a_stopped_command_can_be_continued() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "echo ready; sleep 0.2; echo awake";
        let mut run = area.shell(&area.rules(), script).spawn();
        run.wait_for("ready");
        run.signal(Signal::TSTP);
        run.signal(Signal::CONT);
        run.wait().assert_out_has("awake").assert_code(0);
    });
}

/// The command is in its caller's process group, and kill(0) knows no pid namespace: without a scope it would reach the caller.
#[test]
fn a_signal_to_the_process_group_does_not_leave_the_sandbox() {
    for_each_identity(|who| {
        for signal in ["KILL", "TERM", "INT", "USR1"] {
            let area = Area::new(who);
            let marker = srt_tests::procs::marker("group");
            let bystander = format!("{} sleep 60 {marker} >/dev/null 2>&1 & exec \"$@\"", srt_tests::probe().display());
            // The bystander is in the same group as srt, and this test is not.
            let script = format!("echo ready; kill -{signal} 0; exit 5");
            let mut run = area.shell(&area.rules(), &script).in_own_group().through_shell(&bystander).spawn();
            run.wait_for("ready");
            let survivors = settled(&marker);
            for pid in &survivors {
                area.outside("/bin/kill").args(&["-KILL", &pid.to_string()]).run();
            }
            assert_eq!(survivors.len(), 1, "kill -{signal} 0 inside ended a process outside");
            let outcome = run.wait();
            assert!(outcome.code().is_some(), "kill -{signal} 0 inside ended srt itself\n{outcome}");
        }
    });
}

/// The processes with the marker, once the one at work has had the time to be killed.
fn settled(marker: &str) -> Vec<u32> {
    srt_tests::procs::assert_appears(marker);
    srt_tests::pause(300);
    srt_tests::procs::marked(marker)
}

#[test]
fn a_reader_that_goes_away_ends_the_command_as_it_would_outside() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let words = area.srt(&area.rules()).args(&["yes"]).words();
        let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let script = format!("trap - PIPE; {line} | head -1; echo ${{PIPESTATUS[0]}}");
        area.outside("/bin/bash").args(&["-c", &script]).run().assert_prints(&format!("y\n{}", 128 + 13));
    });
}

/// What srt ignores or blocks for itself is no business of the command's. SIGPIPE is at its default inside, whatever the caller had:
/// the Rust runtime ignores it before srt could look.
#[test]
fn dispositions_and_mask_are_the_callers() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let words = ["-E", "^Sig(Blk|Ign|Cgt):", "/proc/self/status"];
        for redirect in ["exec \"$@\"", "trap '' USR1 HUP; exec \"$@\"", "trap '' QUIT TERM; exec \"$@\""] {
            let outside = area.outside("/bin/grep").args(&words).through_shell(redirect).run().assert_code(0).out();
            let inside = area.srt(&area.rules()).args(&["/bin/grep"]).args(&words).through_shell(redirect).run();
            inside.assert_prints(&outside);
        }
    });
}

/// A signal on its way to a command that has just ended does not hide how it ended.
#[test]
fn a_signal_at_the_moment_of_the_end_does_not_change_the_status() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for _ in 0..60 {
            let running = area.shell(&area.rules(), "exit 5").spawn();
            let pid = rustix::process::Pid::from_raw(running.id() as i32).expect("a child has an id");
            let start = std::time::Instant::now();
            // Until it has ended; a child that nobody has waited for keeps its id.
            while std::fs::read_to_string(format!("/proc/{}/stat", running.id())).is_ok_and(|stat| !stat.contains(") Z")) {
                // It may have ended in between.
                let _ = rustix::process::kill_process(pid, Signal::WINCH);
                assert!(start.elapsed() < srt_tests::patience(30), "it does not end");
            }
            let outcome = running.wait();
            outcome.assert_code(5);
            assert_eq!(outcome.err(), "");
        }
    });
}

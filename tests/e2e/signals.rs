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

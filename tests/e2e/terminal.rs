//! Job control, window size, full-screen programs.

use rustix::process::{Pid, Signal, kill_process};
use srt_tests::terminal::Terminal;
use srt_tests::{Area, for_each_identity};

#[test]
fn the_command_has_the_callers_terminal_session_and_group() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display();
        // `tty` finds the name only where the device node is there too.
        let script =
            format!("tty && test -t 0 && test -t 1 && test -t 2 && echo typed </dev/tty >/dev/tty && {probe} winsize; echo end-$?");
        let mut terminal = Terminal::start(&area, &area.shell(&area.rules(), &script));
        terminal.wait_for("end-");
        let shown = terminal.shown();
        assert!(shown.contains("/dev/") && shown.contains("typed") && shown.contains("end-0"), "{shown:?}");
        assert!(terminal.wait().success());
    });
}

#[test]
fn standard_streams_on_a_terminal_can_be_opened_by_name() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "echo one >/dev/stdout && echo two >/dev/stderr && echo three >/dev/fd/1 && echo four | tee /dev/stderr >/dev/null; echo end-$?";
        let mut terminal = Terminal::start(&area, &area.shell(&area.rules(), script));
        terminal.wait_for("end-");
        let shown = terminal.shown();
        assert!(["one", "two", "three", "four", "end-0"].iter().all(|text| shown.contains(text)), "{shown:?}");
        assert!(terminal.wait().success());
    });
}

#[test]
fn ctrl_c_reaches_the_command_exactly_once() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "n=0; trap 'n=$((n+1)); echo caught-$n' INT; echo ready; i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done; echo total-$n";
        let mut terminal = Terminal::start(&area, &area.shell(&area.rules(), script));
        terminal.wait_for("ready");
        terminal.enter("\x03");
        terminal.wait_for("total-");
        assert!(terminal.shown().contains("total-1"), "{:?}", terminal.shown());
        assert!(terminal.wait().success());
    });
}

#[test]
fn ctrl_c_ends_a_command_that_does_not_catch_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let mut terminal = Terminal::start(&area, &area.shell(&area.rules(), "echo ready; exec sleep 60"));
        terminal.wait_for("ready");
        terminal.enter("\x03");
        assert_eq!(terminal.wait().code(), Some(130));
    });
}

/// A shell outside with job control, srt as its job: stopped by Ctrl-Z, seen as stopped, continued by `fg`.
#[test]
fn ctrl_z_stops_the_job_and_fg_continues_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let words = area.shell(&area.rules(), "echo up-$((40+2)); read line; echo \"line is $line\"").words();
        let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
        let file = area.file("outside/job.sh", &format!("{}\n", quoted.join(" ")));
        let shell = area.outside("/bin/bash").args(&["--norc", "--noprofile", "-i"]).env("PS1", "prompt> ");
        let mut terminal = Terminal::start(&area, &shell);
        terminal.wait_for("prompt>");
        terminal.enter(&format!("PATH=$PATH; eval \"$(cat {})\"\n", file.display()));
        terminal.wait_for("up-42");
        terminal.enter("\x1a");
        terminal.wait_for("Stopped");
        terminal.enter("fg\nhello\n");
        terminal.wait_for("line is hello");
        terminal.enter("exit 5\n");
        assert_eq!(terminal.wait().code(), Some(5));
    });
}

#[test]
fn a_change_of_the_window_reaches_the_command() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display();
        let script = format!("trap '{probe} winsize; exit 0' WINCH; echo ready; while :; do sleep 0.05; done");
        let mut terminal = Terminal::start(&area, &area.shell(&area.rules(), &script));
        terminal.wait_for("ready");
        terminal.resize(33, 99);
        terminal.wait_for("33x99");
        assert!(terminal.wait().success());
    });
}

#[test]
fn an_interactive_shell_inside_has_job_control() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let program = area.srt(&area.rules()).args(&["bash", "--norc", "--noprofile", "-i"]).env("PS1", "inside> ");
        let mut terminal = Terminal::start(&area, &program);
        terminal.wait_for("inside>");
        // The job tells when it is in the foreground: before that, Ctrl-Z would go to the shell, which ignores it.
        terminal.enter("sh -c 'echo going-$((1+1)); exec sleep 60'\n");
        terminal.wait_for("going-2");
        terminal.enter("\x1a");
        terminal.wait_for("Stopped");
        terminal.enter("jobs | sed s/exec/EXEC/\n");
        terminal.wait_for("EXEC");
        terminal.enter("kill -KILL %1; while [ -n \"$(jobs -s)\" ]; do sleep 0.05; done; echo done-$((6*7))\n");
        terminal.wait_for("done-42");
        terminal.enter("exit 4\n");
        assert_eq!(terminal.wait().code(), Some(4));
    });
}

#[test]
fn characters_cannot_be_pushed_into_the_callers_terminal() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display();
        let script = format!(
            "{probe} ioctl /dev/tty 0x5412; {probe} ioctl /dev/tty 0x100005412; {probe} ioctl-fd 0 0x5412; {probe} ioctl-fd 1 0x541c; echo end"
        );
        let mut terminal = Terminal::start(&area, &area.shell(&area.rules(), &script));
        terminal.wait_for("end");
        let shown = terminal.shown();
        let refusals = shown.matches("EPERM").count() + shown.matches("ENOSYS").count();
        assert_eq!(refusals, 4, "{shown:?}");
        assert!(terminal.wait().success());
    });
}

/// The terminal goes away while the command runs: the hang-up ends it as it would without srt.
#[test]
fn a_hang_up_ends_the_command() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let marker = srt_tests::procs::marker("hang-up");
        let probe = srt_tests::probe().display().to_string();
        let mut terminal = Terminal::start(&area, &area.shell(&area.rules(), &format!("echo ready; exec {probe} sleep 60 {marker}")));
        terminal.wait_for("ready");
        let leader = Pid::from_raw(terminal.id() as i32).expect("a child has an id");
        kill_process(leader, Signal::HUP).expect("a child can be signalled");
        assert_eq!(terminal.wait().code(), Some(129));
        srt_tests::procs::assert_gone(&marker);
    });
}

use std::os::unix::process::ExitStatusExt as _;

use crate::program::{Area, appears, comes_true, id, lives, send, text};

const OPEN: &str = r#"{"filesystem": {"allowWrite": ["."]}}"#;

/// Writes a letter for each signal, and ends at TERM.
const COUNTS: &str = "trap 'echo I >> got' INT; trap 'echo U >> got' USR1; trap 'echo T >> got; exit 5' TERM; echo ready > ready; while :; do sleep 0.05; done";

fn got(area: &Area) -> String {
    std::fs::read_to_string(area.path("got")).unwrap_or_default().replace('\n', "")
}

#[test]
fn signals_that_somebody_sends_to_srt_reach_the_command() {
    let area = Area::new();
    let mut run = area.program(&["sh", "-c", COUNTS], OPEN).spawn().unwrap();
    appears(&area.path("ready"));
    for (signal, seen) in [(libc::SIGUSR1, "U"), (libc::SIGINT, "UI"), (libc::SIGUSR1, "UIU")] {
        send(signal, id(&run));
        comes_true("the signal", || got(&area) == seen);
    }
    send(libc::SIGTERM, id(&run));
    assert_eq!(run.wait().unwrap().code(), Some(5));
}

#[test]
fn a_key_at_the_terminal_reaches_the_command_once() {
    let area = Area::new();
    let mut run = area.program(&["sh", "-c", COUNTS], OPEN).spawn().unwrap();
    appears(&area.path("ready"));
    // As the terminal does it: to the whole group, of which srt is the first.
    send(libc::SIGINT, -id(&run));
    comes_true("the signal", || !got(&area).is_empty());
    // Longer than srt waits before it takes a signal for its own.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(got(&area), "I");
    send(libc::SIGTERM, id(&run));
    run.wait().unwrap();
}

/// Is it stopped, or not?
fn is_stopped(id: i32) -> bool {
    let ps = std::process::Command::new("ps").args(["-o", "stat=", "-p", &id.to_string()]).output().unwrap();
    text(&ps.stdout).trim().starts_with('T')
}

#[test]
fn srt_stops_with_the_command_and_goes_on_with_it() {
    let area = Area::new();
    let mut run = area.program(&["sh", "-c", "echo $$ > command; kill -STOP $$; exit 6"], OPEN).spawn().unwrap();
    let command: i32 = appears(&area.path("command")).parse().unwrap();
    comes_true("the stop", || is_stopped(command) && is_stopped(id(&run)));
    // As `fg` does it.
    send(libc::SIGCONT, -id(&run));
    assert_eq!(run.wait().unwrap().code(), Some(6));
}

#[test]
fn srt_alone_asked_to_continue_passes_that_on() {
    let area = Area::new();
    let mut run = area.program(&["sh", "-c", "echo $$ > command; kill -STOP $$; exit 6"], OPEN).spawn().unwrap();
    let command: i32 = appears(&area.path("command")).parse().unwrap();
    comes_true("the stop", || is_stopped(command) && is_stopped(id(&run)));
    send(libc::SIGCONT, id(&run));
    assert_eq!(run.wait().unwrap().code(), Some(6));
}

#[test]
fn signals_that_the_caller_ignores_stay_ignored() {
    let area = Area::new();
    let run = area.program(&["sh", "-c", "echo ready > ready; sleep 600"], OPEN);
    let mut outer = std::process::Command::new("sh");
    outer.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args()).current_dir(area.path("."));
    outer.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = outer.spawn().unwrap();
    appears(&area.path("ready"));
    send(libc::SIGHUP, id(&child));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(lives(id(&child)));
    send(libc::SIGTERM, id(&child));
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(128 + libc::SIGTERM), None));
}

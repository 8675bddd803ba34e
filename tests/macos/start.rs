use std::os::unix::process::ExitStatusExt as _;

use crate::program::{Area, text};

fn status(words: &[&str]) -> Option<i32> {
    Area::new().program(words, "{}").output().unwrap().status.code()
}

#[test]
fn the_exit_status_is_the_commands_own() {
    assert_eq!(status(&["true"]), Some(0));
    assert_eq!(status(&["sh", "-c", "exit 7"]), Some(7));
    assert_eq!(status(&["sh", "-c", "kill -TERM $$"]), Some(128 + libc::SIGTERM));
    assert_eq!(status(&["sh", "-c", "kill -KILL $$"]), Some(128 + libc::SIGKILL));
}

#[test]
fn what_cannot_be_executed_is_126_or_127_and_said() {
    let area = Area::new();
    let missing = area.program(&["no-such-program-here"], "{}").output().unwrap();
    assert_eq!(missing.status.code(), Some(127));
    assert!(text(&missing.stderr).contains("srt: cannot run no-such-program-here: no such file or directory"), "{}", text(&missing.stderr));
    std::fs::write(area.path("text"), "text").unwrap();
    let refused = area.program(&["./text"], "{}").output().unwrap();
    assert_eq!(refused.status.code(), Some(126), "{}", text(&refused.stderr));
}

#[test]
fn the_command_has_a_private_directory_while_it_runs() {
    let area = Area::new();
    let output =
        area.run("ls -ld \"$TMPDIR\"; echo text > \"$TMPDIR/file\"; mkdir -m 0 \"$TMPDIR/shut\"; echo \"$TMPDIR\"").output().unwrap();
    let printed = text(&output.stdout);
    assert!(printed.starts_with("drwx------"), "{printed} {}", text(&output.stderr));
    let directory = printed.lines().last().unwrap();
    assert!(directory.starts_with(area.path("srt-").to_str().unwrap()), "{directory}");
    assert!(!std::path::Path::new(directory).exists());
    assert_eq!(area.leftovers(), [] as [std::path::PathBuf; 0]);
}

#[test]
fn inherited_descriptors_are_closed() {
    let area = Area::new();
    std::fs::write(area.path("secret"), "secret").unwrap();
    let shell = "exec 7< secret; exec \"$@\"";
    let run = area.program(&["sh", "-c", "cat <&7"], "{}");
    let mut outer = std::process::Command::new("sh");
    outer.args(["-c", shell, "sh"]).arg(run.get_program()).args(run.get_args()).current_dir(area.path("."));
    outer.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = outer.output().unwrap();
    assert!(!output.status.success() && !text(&output.stdout).contains("secret"), "{}", text(&output.stdout));
    // Without srt it is there.
    let control =
        std::process::Command::new("sh").args(["-c", shell, "sh", "sh", "-c", "cat <&7"]).current_dir(area.path(".")).output().unwrap();
    assert_eq!(text(&control.stdout), "secret");
}

#[test]
fn signals_are_as_the_caller_left_them() {
    let area = Area::new();
    let output = area.run("kill -PIPE $$; echo alive").output().unwrap();
    assert_eq!(output.status.code(), Some(128 + libc::SIGPIPE), "{}", text(&output.stdout));
    assert_eq!(output.status.signal(), None);
}

/// In place of sandbox-exec(1): the same command line, and no confinement.
#[test]
#[cfg(target_os = "linux")]
fn where_the_call_is_missing_a_program_confines_and_the_contract_is_the_same() {
    let area = Area::new();
    let confiner = area.script("confiner", "[ \"$1\" = -p ] && echo \"$2\" > profile && shift 2 && exec \"$@\"");
    let run = |words: &[&str]| area.program(words, "{}").env("AS_MACOS_CONFINER", &confiner).output().unwrap();
    let output = run(&["sh", "-c", "echo \"$1\"; exit 9", "sh", "a  b"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(9), "a  b\n"), "{}", text(&output.stderr));
    assert!(std::fs::read_to_string(area.path("profile")).unwrap().starts_with("(version 1)\n(deny default"));
    assert_eq!(run(&["no-such-program-here"]).status.code(), Some(127));
    std::fs::write(area.path("text"), "text").unwrap();
    assert_eq!(run(&["./text"]).status.code(), Some(126));
}

#[test]
#[cfg(target_os = "linux")]
fn a_profile_that_is_refused_runs_nothing() {
    let area = Area::new();
    let output = area.program(&["touch", "ran"], r#"{"filesystem": {"denyRead": ["/refuse-me"]}}"#).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let said = text(&output.stderr);
    assert!(said.contains("srt: cannot put the command under its profile: line 1: unbound variable: refuse-me"), "{said}");
    assert!(!area.path("ran").exists() && area.leftovers().is_empty());
}

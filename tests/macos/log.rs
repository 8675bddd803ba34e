use crate::program::{Area, text};

/// As `log stream --style ndjson` prints: a headline, and records, here two in one piece, of which one is another run's.
const LOG: &str = r#"
for word; do case "$word" in *srt:*) tag=${word#*\"}; tag=${tag%\"*} ;; esac; done
echo "Filtering the log data using \"$*\""
record() { printf '{"processID":0,"eventMessage":"Sandbox: cat(%s) deny(1) file-read-data %s\\n%s%s"}\n' "$1" "$2" "$3" "$4"; }
{ record 41 /Users/ada/.ssh/id "$tag" default; record 42 /Users/bob/.ssh/id srt:00000000000000ff: default; record 43 /private/etc/master.passwd "$tag" default; } > records
cat records
exec sleep 600
"#;

#[test]
fn records_of_this_run_are_its_events_and_those_of_others_are_not() {
    let area = Area::new();
    let log = area.script("log", LOG);
    let output = area.run("while [ ! -s records ]; do sleep 0.01; done; exit 3").env("AS_MACOS_LOG", &log).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let events: Vec<&str> = said.lines().filter(|line| line.starts_with("event Seatbelt ")).collect();
    assert_eq!(events.len(), 2, "{said}");
    assert!(events[0].contains("/Users/ada/.ssh/id") && events[1].contains("/private/etc/master.passwd"), "{said}");
}

#[test]
fn the_log_ends_with_the_run_also_when_srt_is_killed() {
    use crate::program::{appears, comes_true, id, lives, send};
    let area = Area::new();
    let log = area.script("log", "echo $$ > log.id; exec sleep 600");
    let run = |shell: &str| area.run(shell).env("AS_MACOS_LOG", &log).spawn().unwrap();
    let mut ended = run("while [ ! -s log.id ]; do sleep 0.01; done");
    let first: i32 = appears(&area.path("log.id")).parse().unwrap();
    ended.wait().unwrap();
    assert!(!lives(first));
    std::fs::remove_file(area.path("log.id")).unwrap();
    let mut killed = run("sleep 600");
    let second: i32 = appears(&area.path("log.id")).parse().unwrap();
    send(libc::SIGKILL, id(&killed));
    killed.wait().unwrap();
    comes_true("the end of the log", || !lives(second));
}

#[test]
fn a_log_that_does_not_let_us_look_on_is_said_and_the_command_runs() {
    let area = Area::new();
    let log = area.script("log", "echo 'log: Must be admin to run stream command' >&2; exit 64");
    for (program, cause) in [(log, "/usr/bin/log has ended"), ("/nowhere/log".into(), "no such file or directory")] {
        let output = area.run("sleep 0.5; echo ran; exit 2").env("AS_MACOS_LOG", program).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), "ran\n"));
        assert!(text(&output.stderr).contains(cause), "{}", text(&output.stderr));
    }
}

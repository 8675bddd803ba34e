use crate::program::{Area, appears, comes_true, id, lives, send};

/// Starts a child, and an orphan in a session of its own; both tell their ids.
const FAMILY: &str =
    "sleep 600 & echo $! > child; (setsid sh -c 'echo $$ > orphan; exec sleep 600' &) ; while [ ! -s orphan ]; do sleep 0.01; done;";
/// Where there is no setsid(1), a background job of a shell that has ended is an orphan too.
const WITHOUT_SETSID: &str =
    "sleep 600 & echo $! > child; (sh -c 'echo $$ > orphan; exec sleep 600' &) ; while [ ! -s orphan ]; do sleep 0.01; done;";

fn family() -> &'static str {
    if cfg!(target_os = "macos") { WITHOUT_SETSID } else { FAMILY }
}

fn ids(area: &Area) -> [i32; 2] {
    ["child", "orphan"].map(|name| appears(&area.path(name)).parse().unwrap())
}

/// The command may write where the test runs.
const OPEN: &str = r#"{"filesystem": {"allowWrite": ["."]}}"#;

#[test]
fn what_the_command_leaves_running_ends_with_it_orphans_too() {
    let area = Area::new();
    let status = area.program(&["sh", "-c", &format!("{} exit 4", family())], OPEN).status().unwrap();
    assert_eq!(status.code(), Some(4));
    let [child, orphan] = ids(&area);
    // Nothing to wait for: srt has ended after them.
    assert!(!lives(child) && !lives(orphan));
}

#[test]
fn the_processes_of_the_caller_and_of_other_runs_live_on() {
    let area = Area::new();
    let mut own = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let (one, other) = (Area::new(), Area::new());
    let mut longer = other.program(&["sh", "-c", &format!("{} sleep 600", family())], OPEN).spawn().unwrap();
    let [child, orphan] = ids(&other);
    assert!(one.program(&["sh", "-c", &format!("{} true", family())], OPEN).status().unwrap().success());
    assert!(lives(id(&own)) && lives(child) && lives(orphan));
    send(libc::SIGTERM, id(&longer));
    longer.wait().unwrap();
    assert!(!lives(child) && !lives(orphan));
    own.kill().unwrap();
    own.wait().unwrap();
    drop(area);
}

#[test]
fn when_srt_is_killed_nothing_of_the_run_is_left_but_a_directory_that_the_next_one_sweeps() {
    let area = Area::new();
    let mut run = area.program(&["sh", "-c", &format!("{} echo $$ > command; sleep 600", family())], OPEN).spawn().unwrap();
    let [child, orphan] = ids(&area);
    let command: i32 = appears(&area.path("command")).parse().unwrap();
    assert!(lives(command) && lives(child) && lives(orphan));
    send(libc::SIGKILL, id(&run));
    run.wait().unwrap();
    for process in [command, child, orphan] {
        comes_true("the end of the process", || !lives(process));
    }
    assert_eq!(area.leftovers().len(), 1);
    assert!(area.run("true").status().unwrap().success());
    assert!(area.leftovers().is_empty());
}

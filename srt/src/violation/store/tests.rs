//! The store in a directory of its own.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::super::testing::event;
use super::*;
use crate::settings::scratch::Scratch;

fn store(directory: &Scratch) -> Store {
    Store::new(AbsPath::new(directory.path().canonicalize().unwrap()).unwrap().join("state").join("srt").join("violations"))
}

fn run(command: &str) -> Run {
    Run::new(command, &AbsPath::root()).unwrap()
}

fn report(targets: &[&str]) -> Report {
    Report { events: targets.iter().map(|target| event(target)).collect(), dropped: 0 }
}

#[test]
fn nothing_is_made_for_a_run_without_events() {
    let directory = Scratch::new();
    store(&directory).add(run("x"), Report::default()).unwrap();
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none());
    assert!(store(&directory).runs().unwrap().is_empty());
    assert_eq!(store(&directory).clear().unwrap(), 0);
}

#[test]
fn runs_come_back_in_order_from_private_files() {
    let directory = Scratch::new();
    let store = store(&directory);
    for (second, command) in ["one", "two"].into_iter().enumerate() {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second as u64);
        store.add(Run { time, ..run(command) }, report(&["a.example:1", "\x1b[2J\u{202e}<b>:2"])).unwrap();
    }
    let runs = store.runs().unwrap();
    assert_eq!(runs.iter().map(|run| run.command.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(runs[1].events[1].target, "\x1b[2J\u{202e}<b>:2");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let kept = directory.path().join("state/srt/violations");
    assert_eq!((mode(&kept), mode(kept.parent().unwrap())), (0o700, 0o700));
    for file in std::fs::read_dir(&kept).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600);
        assert!(std::fs::read(path).unwrap().iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')));
    }
    assert_eq!(store.clear().unwrap(), 2);
    assert!(store.runs().unwrap().is_empty());
}

#[test]
fn runs_events_and_bytes_are_bounded_and_the_oldest_go_first() {
    let directory = Scratch::new();
    let store = store(&directory);
    let many: Vec<String> = (0..1000).map(|number| format!("{number}{}", "x".repeat(3000))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for number in 0..MAX_RUNS as u64 + 5 {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(number);
        let targets = if number % 10 == 0 { &many[..] } else { &["a:1"] };
        store.add(Run { time, ..run(&number.to_string()) }, report(targets)).unwrap();
    }
    let runs = store.runs().unwrap();
    assert!(runs.len() <= MAX_RUNS);
    assert_eq!(runs.last().unwrap().command, (MAX_RUNS + 4).to_string());
    let size = |file: std::io::Result<std::fs::DirEntry>| file.unwrap().metadata().unwrap().len();
    let total: u64 = std::fs::read_dir(directory.path().join("state").join("srt").join("violations")).unwrap().map(size).sum();
    assert!(total <= MAX_BYTES, "{total}");
    let cut = runs.iter().find(|run| run.command == "50").unwrap();
    assert_eq!(cut.events.len() as u64 + cut.dropped, 1000);
    assert!(cut.dropped > 0);
}

#[test]
fn no_planted_link_is_followed_and_no_open_directory_is_used() {
    for planted in ["state", "state/srt", "state/srt/violations"] {
        let directory = Scratch::new();
        let elsewhere = directory.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let link = directory.path().join(planted);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&elsewhere, &link).unwrap();
        let store = store(&directory);
        assert!(store.add(run("x"), report(&["a:1"])).is_err(), "{planted}");
        assert!(std::fs::read_dir(&elsewhere).unwrap().next().is_none(), "{planted}");
        assert!(store.runs().is_err() && store.clear().is_err());
    }
    let directory = Scratch::new();
    let open = directory.path().join("state/srt/violations");
    std::fs::create_dir_all(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(store(&directory).add(run("x"), report(&["a:1"])).is_err());
}

#[test]
fn foreign_files_are_left_out_and_do_not_hang_anyone() {
    let directory = Scratch::new();
    let store = store(&directory);
    store.add(run("mine"), report(&["a:1"])).unwrap();
    let kept = directory.path().join("state/srt/violations");
    std::fs::write(kept.join("zzz"), "no run").unwrap();
    std::fs::write(kept.join("zzy"), vec![b'x'; 3 << 20]).unwrap();
    symlink("/etc/passwd", kept.join("zzx")).unwrap();
    nix::unistd::mkfifo(&kept.join("zzw"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(store.runs().unwrap().len(), 1);
}

#[test]
fn runs_that_end_at_once_are_all_kept() {
    let directory = Scratch::new();
    let store = store(&directory);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let store = &store;
            scope.spawn(move || (0..4).for_each(|_| store.add(run(&number.to_string()), report(&["a:1"])).unwrap()));
        }
    });
    assert_eq!(store.runs().unwrap().len(), 32);
}

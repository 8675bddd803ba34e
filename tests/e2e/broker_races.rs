//! Races against the broker: what a verdict rests on changes while the call is in flight.
//!
//! The racing threads are the probe's; what they see does not matter. The judge is the host's file system: what is denied was never
//! made, changed or removed. Each race is first run outside, where it must reach what is denied inside: a race that is not lost there
//! shows nothing here.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use srt_tests::{Area, Identity, Outcome, Rules, Snapshot, Watch, each, for_each_identity, prepared_late};

/// In bounded time also for a broker without optimisation.
fn tries(who: Identity) -> String {
    if who.is_root() { "20000".into() } else { "100000".into() }
}

/// Both sides of the race were met.
#[track_caller]
fn assert_raced(outcome: &Outcome) {
    outcome.assert_code(0).assert_out_has("ok=").assert_out_has("EPERM=");
}

/// The probe's words for a line of shell text.
fn line(words: &[&str]) -> String {
    let probe = srt_tests::probe().display().to_string();
    std::iter::once(probe.as_str()).chain(words.iter().copied()).map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

/// One call on `work/a/name` and `work/b/name` in turn, of which the second is denied.
const NAMES: [&str; 3] = ["a/name", "b/name", "other"];

fn race_words<'a>(call: &'a str, tries: &'a str) -> Vec<&'a str> {
    [&["race-path", call], &NAMES[..], &[tries]].concat()
}

fn area_of_names(who: Identity) -> Area {
    let area = Area::new(who);
    area.dir("work/a");
    area.dir("work/b");
    area
}

/// All that is known of the denied directory and file: also the time of the last change of its metadata, which nobody can set back.
fn held(area: &Area) -> (Snapshot, Option<(i64, i64)>) {
    let changed = area.path("work/b/name").metadata().ok().map(|meta| (meta.ctime(), meta.ctime_nsec()));
    (Snapshot::of(&area.path("work/b")), changed)
}

fn name_denied(area: &Area) -> Rules {
    area.rules().deny_write(area.text("work/b/name"))
}

/// The denied file exists, but came after the start.
fn path_race_on_a_file(who: Identity, call: &str) {
    let control = area_of_names(who);
    control.file("work/b/name", "kept");
    let before = held(&control);
    control.probe_outside(&race_words(call, "20000")).run().assert_code(0);
    assert!(before != held(&control), "outside, the race must reach the file: {call}");

    let area = area_of_names(who);
    let mut before = None;
    let prepare = || {
        area.file("work/b/name", "kept");
        before = Some(held(&area));
    };
    let (outcome, _) = prepared_late(&area, &name_denied(&area), prepare, &line(&race_words(call, &tries(who))));
    assert_eq!(before, Some(held(&area)), "{call} reached the denied file\n{outcome}");
    assert_raced(&outcome);
}

#[test]
fn a_path_that_changes_in_memory_never_reaches_a_denied_file_for_writing() {
    for_each_identity(|who| each(["open", "truncate"], |call| path_race_on_a_file(who, call)));
}

#[test]
fn a_path_that_changes_in_memory_never_removes_or_replaces_a_denied_file() {
    for_each_identity(|who| each(["unlink", "rename-to", "rename-from"], |call| path_race_on_a_file(who, call)));
}

#[test]
fn a_path_that_changes_in_memory_never_changes_metadata_or_links_of_a_denied_file() {
    for_each_identity(|who| each(["link-from", "chmod", "utimens"], |call| path_race_on_a_file(who, call)));
}

/// Nothing bears the denied name, and nothing ever must, not even for a moment.
fn path_race_on_a_missing_name(who: Identity, call: &str) {
    let control = area_of_names(who);
    let watch = Watch::start(&control.path("work/b"));
    control.probe_outside(&race_words(call, "20000")).run().assert_code(0);
    assert!(watch.names().contains("name"), "outside, the race must make the name: {call}");

    let area = area_of_names(who);
    let watch = Watch::start(&area.path("work/b"));
    let outcome = area.probe(&name_denied(&area), &race_words(call, &tries(who))).limit(300).run();
    assert_eq!(watch.names().len(), 0, "{call} made a denied name\n{outcome}");
    assert_raced(&outcome);
}

#[test]
fn a_path_that_changes_in_memory_never_makes_a_denied_name() {
    for_each_identity(|who| each(["open", "mkdir", "mknod"], |call| path_race_on_a_missing_name(who, call)));
}

#[test]
fn a_path_that_changes_in_memory_never_gives_a_denied_name_to_something_else() {
    for_each_identity(|who| each(["symlink-to", "rename-to", "link-to"], |call| path_race_on_a_missing_name(who, call)));
}

/// `work/at` leads to `a` in one moment and to `b` in the next.
fn links(area: &Area) {
    area.link("a", "work/at");
    area.link("b", "work/to");
}

#[test]
fn a_link_that_changes_its_target_inside_never_reaches_a_denied_name() {
    for_each_identity(|who| {
        each(["open", "mkdir", "rename-to", "link-to"], |&call| {
            let words = |tries| ["race-link", call, "at/name", "other", tries, "at", "to"];
            let control = area_of_names(who);
            links(&control);
            let watch = Watch::start(&control.path("work/b"));
            control.probe_outside(&words("20000")).run().assert_code(0);
            assert!(watch.names().contains("name"), "outside, the race must make the name: {call}");

            let area = area_of_names(who);
            links(&area);
            let watch = Watch::start(&area.path("work/b"));
            let outcome = area.probe(&name_denied(&area), &words(&tries(who))).limit(300).run();
            assert_eq!(watch.names().len(), 0, "{call} made a denied name\n{outcome}");
            assert_raced(&outcome);
        });
    });
}

/// Exchanges the two links until `end`: on the host, where no call waits for a broker.
fn exchange_on_the_host(work: &Path, end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        renameat_with(CWD, work.join("at"), CWD, work.join("to"), RenameFlags::EXCHANGE).expect("two links can be exchanged");
    }
}

/// Sets the flag when dropped.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn hammered<T>(area: &Area, run: impl FnOnce() -> T) -> T {
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| exchange_on_the_host(&area.path("work"), &end));
        // Also where `run` panics: else the scope would wait for ever.
        let _end = AtEnd(&end);
        run()
    })
}

#[test]
fn a_link_that_changes_its_target_on_the_host_never_reaches_a_denied_name() {
    for_each_identity(|who| {
        each(["open", "mknod", "unlink", "rename-from", "chmod"], |&call| {
            let control = area_of_names(who);
            links(&control);
            control.file("work/b/name", "kept");
            let before = held(&control);
            hammered(&control, || control.probe_outside(&["hammer", call, "at/name", "other", "20000"]).run()).assert_code(0);
            let changed = before != held(&control);
            assert!(changed || call == "mknod", "outside, the race must reach the file: {call}");

            let area = area_of_names(who);
            links(&area);
            let mut before = None;
            let prepare = || {
                area.file("work/b/name", "kept");
                before = Some(held(&area));
            };
            let words = line(&["hammer", call, "at/name", "other", &tries(who)]);
            let (outcome, _) = hammered(&area, || prepared_late(&area, &name_denied(&area), prepare, &words));
            assert_eq!(before, Some(held(&area)), "{call} reached the denied file\n{outcome}");
            outcome.assert_code(0).assert_out_has("ok=");
        });
    });
}

#[test]
fn a_directory_descriptor_that_changes_never_reaches_a_denied_name() {
    for_each_identity(|who| {
        each(["open", "mkdir", "symlink-to", "rename-to", "link-to"], |&call| {
            let area = area_of_names(who);
            let other = area.text("work/other");
            let words = ["race-dirfd", call, "a", "b", "name", &other];
            let run = |program: srt_tests::Program, tries: &str| program.args(&words).args(&[tries]).limit(300).run();
            let watch = Watch::start(&area.path("work/b"));
            run(area.probe_outside(&[]), "20000").assert_code(0);
            assert!(watch.names().contains("name"), "outside, the race must make the name: {call}");

            area.outside("/bin/rm").args(&["-rf", "a/name", "b/name"]).run().assert_code(0);
            let watch = Watch::start(&area.path("work/b"));
            let outcome = run(area.probe(&name_denied(&area), &[]), &tries(who));
            assert_eq!(watch.names().len(), 0, "{call} made a denied name\n{outcome}");
            assert_raced(&outcome);
        });
    });
}

//! Objects that appear on the host while a command is already running.

use std::fs;

use crate::{Area, Events, Outcome, Rules};

/// The word that a command prints before the host's files are changed.
const READY: &str = "ready";

/// Runs shell text inside, after `prepare` has changed the host's files *during* the run. Standard output begins with a line of its own.
///
/// What a policy denies and exists at the start is a mount besides; what comes later is held by its name alone.
///
/// # Panics
/// When the command ends before that.
#[track_caller]
pub fn prepared_late(area: &Area, rules: &Rules, prepare: impl FnOnce(), text: &str) -> (Outcome, Events) {
    let go = area.beside("go");
    let script = format!("echo {READY}; while ! [ -e {go} ]; do sleep 0.01; done; {text}");
    let (program, log) = Events::recording(area, rules);
    let mut running = program.args(&["sh", "-c", &script]).limit(300).spawn();
    running.wait_for(READY);
    prepare();
    fs::write(&go, "").unwrap_or_else(|error| panic!("cannot write {go}: {error}"));
    let outcome = running.wait();
    let events = Events::read(&log, &outcome);
    (outcome, events)
}

//! `srt violations`: what the last runs were denied.

use std::fmt::Write as _;
use std::io::Write as _;

use super::message::Error;
use crate::Fault;
use crate::host::{self, HostLookup};
use crate::policy::PathLookup as _;
use crate::violation::{self, Run, Store, sanitise};

/// Runs that are listed where no number is given.
const LISTED: usize = 10;

/// What `srt violations` was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// `--last`.
    pub last: Option<usize>,
    /// `--run`.
    pub run: Option<String>,
    /// `--json`.
    pub json: bool,
    /// `--suggest`.
    pub suggest: bool,
    /// `--clear`.
    pub clear: bool,
}

/// Lists, suggests or forgets; 0.
pub(super) fn violations(listing: &Listing) -> Result<u8, Error> {
    let store = open()?;
    let fault = |error: std::io::Error| Fault::new("read the violations of the last runs", crate::fault::errno_text(&error));
    if listing.clear {
        let count = store.clear().map_err(fault)?;
        return Ok(print(&format!("{count} {} forgotten\n", if count == 1 { "run" } else { "runs" })));
    }
    let runs = picked(store.runs().map_err(fault)?, listing)?;
    let text = match () {
        () if listing.suggest => suggestion(&runs),
        () if listing.json => json(&runs).map_err(|error| Fault::new("print the violations", error))?,
        () if runs.is_empty() => "no run was denied anything\n".to_owned(),
        () => runs.iter().map(shown).collect(),
    };
    Ok(print(&text))
}

fn open() -> Result<Store, Fault> {
    let action = "find the violations of the last runs";
    let facts = host::gather(None)?;
    let directory = facts.state_directory().ok_or_else(|| Fault::new(action, "there is no home directory"))?;
    let real = HostLookup.real_path(&directory).map_err(|error| Fault::os(action, error))?;
    Ok(Store::new(real.path.join(violation::STORE)))
}

fn picked(runs: Vec<Run>, listing: &Listing) -> Result<Vec<Run>, Fault> {
    let Some(id) = &listing.run else {
        let skipped = runs.len().saturating_sub(listing.last.unwrap_or(LISTED));
        return Ok(runs.into_iter().skip(skipped).collect());
    };
    let found: Vec<Run> = runs.into_iter().filter(|run| run.id == *id).collect();
    if found.is_empty() {
        let fault = Fault::new(format!("show run {id:?}"), "no run of this name was kept");
        return Err(fault.hint("`srt violations --last 50` lists the kept runs, each with its name in front"));
    }
    Ok(found)
}

fn suggestion(runs: &[Run]) -> String {
    let events: Vec<_> = runs.iter().flat_map(|run| run.events.clone()).collect();
    violation::suggest(&events)
}

/// Each run as one line: its own fields, and its events.
fn json(runs: &[Run]) -> serde_json::Result<String> {
    runs.iter().map(|run| Ok(run.json_line()? + "\n")).collect()
}

fn shown(run: &Run) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{} {} in {}: {}", run.id, run.started(), sanitise(&run.directory), sanitise(&run.command));
    let mut events = Vec::new();
    let _ = violation::list(&run.events, run.dropped, &mut events);
    out + &String::from_utf8_lossy(&events)
}

/// A closed pipe is the reader's choice.
fn print(text: &str) -> u8 {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    0
}

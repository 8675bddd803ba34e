//! What the last runs were denied, kept for `srt violations`.
//!
//! One file for each run that had events, in a directory of the user's own; nothing is made for a run without any. The oldest go first when there are too many.
//! Runs at the same time do not meet: each file has a name of its own, and appears whole.
//!
//! The sandbox never sees the directory (a built-in rule of every policy). Still it may have been able to write around it before the directory existed, so no
//! symbolic link is followed on the way, and nothing is read or written in a directory that is not the user's alone.

mod directory;

use std::io::{self, Write as _};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{Event, Report, time};
use crate::policy::AbsPath;
use directory::Directory;

/// Name of the store in srt's state directory.
pub const STORE: &str = "violations";

/// Runs that are kept.
const MAX_RUNS: usize = 50;
/// Bytes of all runs together.
const MAX_BYTES: u64 = 4 << 20;
/// Bytes of one run. Events beyond are counted as dropped.
const MAX_RUN: usize = 512 << 10;
/// Longest command that is kept, in bytes.
const MAX_COMMAND: usize = 4096;

/// The events of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Version of this layout.
    pub v: u8,
    /// Short name, by which `srt violations --run` picks it.
    pub id: String,
    /// When it started.
    #[serde(with = "super::time::rfc3339")]
    pub time: SystemTime,
    /// The command, its words joined by spaces.
    pub command: String,
    /// Its working directory.
    pub directory: String,
    /// Denials that were not kept.
    pub dropped: u64,
    /// What was denied.
    #[serde(skip)]
    pub events: Vec<Event>,
}

impl Run {
    /// A run that starts now.
    ///
    /// # Errors
    /// No random numbers can be had.
    pub fn new(command: &str, directory: &AbsPath) -> io::Result<Run> {
        let random: [u8; 4] = crate::unix::random()?;
        Ok(Run {
            v: 1,
            id: format!("{:08x}", u32::from_ne_bytes(random)),
            time: SystemTime::now(),
            command: command[..command.floor_char_boundary(MAX_COMMAND)].to_owned(),
            directory: directory.to_string(),
            dropped: 0,
            events: Vec::new(),
        })
    }

    /// When it started, as text.
    pub fn started(&self) -> String {
        time::text(self.time)
    }

    /// The run with its events as one line of JSON, printable ASCII only.
    ///
    /// # Errors
    /// None with this layout; serde_json cannot know that.
    pub fn json_line(&self) -> serde_json::Result<String> {
        let mut run = serde_json::to_value(self)?;
        run["events"] = serde_json::to_value(&self.events)?;
        Ok(super::render::escaped(&run.to_string()))
    }

    /// Names sort by time.
    fn file_name(&self) -> String {
        format!("{}-{}.jsonl", time::text(self.time), self.id)
    }

    /// First the run, then its events, a line each.
    pub(super) fn lines(&self) -> serde_json::Result<String> {
        let mut events = String::new();
        let mut kept = 0;
        for event in &self.events {
            let line = event.json_line()?;
            if events.len() + line.len() > MAX_RUN {
                break;
            }
            events.push_str(&line);
            events.push('\n');
            kept += 1;
        }
        let left = self.events[kept..].iter().fold(self.dropped, |sum, event| sum.saturating_add(event.count));
        let head = serde_json::to_string(&Run { dropped: left, events: Vec::new(), ..self.clone() })?;
        Ok(super::render::escaped(&head) + "\n" + &events)
    }

    pub(super) fn parse(text: &str) -> Option<Run> {
        let mut lines = text.lines();
        let mut run: Run = serde_json::from_str(lines.next()?).ok()?;
        run.events = lines.map(serde_json::from_str).collect::<Result<_, _>>().ok()?;
        (run.v == 1).then_some(run)
    }
}

/// The runs of one user.
#[derive(Clone, Debug)]
pub struct Store {
    directory: AbsPath,
}

impl Store {
    /// The store in `directory`, a real path.
    pub fn new(directory: AbsPath) -> Self {
        Store { directory }
    }

    /// Keeps what a run was denied; nothing where nothing was.
    ///
    /// # Errors
    /// The directory is not the user's alone, or lies behind a symbolic link; the disk is full.
    pub fn add(&self, run: Run, report: Report) -> io::Result<()> {
        if report.events.is_empty() && report.dropped == 0 {
            return Ok(());
        }
        let run = Run { events: report.events, dropped: report.dropped, ..run };
        let directory = Directory::make(&self.directory)?;
        directory.write(&run.file_name(), |file| file.write_all(run.lines()?.as_bytes()))?;
        directory.prune(MAX_RUNS, MAX_BYTES)
    }

    /// The kept runs, oldest first. A file that is none of ours is left out.
    ///
    /// # Errors
    /// The directory is not the user's alone, or lies behind a symbolic link.
    pub fn runs(&self) -> io::Result<Vec<Run>> {
        let Some(directory) = Directory::open(&self.directory)? else { return Ok(Vec::new()) };
        let names = directory.names()?;
        // As many as are kept, and those of runs that end at this moment.
        let recent = &names[names.len().saturating_sub(2 * MAX_RUNS)..];
        Ok(recent.iter().filter_map(|name| directory.read(name, MAX_RUN as u64 * 2).ok()).filter_map(|text| Run::parse(&text)).collect())
    }

    /// Forgets all runs; returns how many there were.
    ///
    /// # Errors
    /// As [`Store::runs`].
    pub fn clear(&self) -> io::Result<usize> {
        match Directory::open(&self.directory)? {
            Some(directory) => directory.clear(),
            None => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests;

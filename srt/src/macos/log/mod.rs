//! The system log of macOS, where the kernel says what Seatbelt denied.
//!
//! Bytes of `log stream` in, events out; `stream` runs it. One record is one line of JSON, so that nothing a path holds can end it or start another. Only the kernel's own records
//! count, and of those only the ones that bear the tag of this run: everybody can write to the log, and other sandboxes are denied things too.
//!
//! The log is no proof. It merges repetitions, it may drop records, and what was denied before the stream had begun is not in it.

mod event;
mod record;
mod stream;

use std::time::SystemTime;

use super::RunTag;
use crate::policy::FsPolicy;
use crate::violation::Event;
use record::Record;
pub use stream::LogStream;

/// A record beyond this is given up, in bytes.
const MAX_RECORD: usize = 1 << 16;

/// The arguments of `/usr/bin/log` that give what a [`LogReader`] reads.
pub fn arguments(run: RunTag) -> [String; 5] {
    let predicate = format!("processID == 0 AND eventMessage CONTAINS \"{run}\"");
    ["stream".to_owned(), "--style".to_owned(), "ndjson".to_owned(), "--predicate".to_owned(), predicate]
}

/// Reads the stream of one run.
#[derive(Debug)]
pub struct LogReader {
    run: RunTag,
    /// The beginning of a record whose end has not come yet.
    partial: Vec<u8>,
    /// The record under way is too long: the rest of it is skipped.
    skips: bool,
}

impl LogReader {
    /// Nothing has been read.
    pub fn new(run: RunTag) -> LogReader {
        LogReader { run, partial: Vec::new(), skips: false }
    }

    /// Every denial whose record ends in this chunk. Chunks may end anywhere. `now` is when it was read.
    pub fn read(&mut self, chunk: &[u8], files: &FsPolicy, now: SystemTime) -> Vec<Event> {
        let mut events = Vec::new();
        let mut lines = chunk.split(|byte| *byte == b'\n');
        let unfinished = lines.next_back().unwrap_or_default();
        for end in lines {
            self.append(end);
            let line = std::mem::take(&mut self.partial);
            if !std::mem::take(&mut self.skips) {
                let record = Record::parse(&line, self.run).filter(|record| !record.is_noise());
                events.extend(record.map(|record| event::event(record, files, now)));
            }
        }
        self.append(unfinished);
        events
    }

    fn append(&mut self, bytes: &[u8]) {
        self.skips |= self.partial.len() + bytes.len() > MAX_RECORD;
        if self.skips {
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests;

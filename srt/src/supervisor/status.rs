//! What srt tells of a run as it goes on: the lines, and how they reach the program that started srt (`--status-fd`).
//!
//! The reader may be slow or gone: lines wait in a bounded queue, and what does not fit is counted, and the count is told. Lines are printable ASCII.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::End;
use super::descriptor::Descriptor;
use crate::Outcome;
use crate::ask::Remember;
use crate::proxy::Destination;
use crate::violation::{Event, escaped_json};

/// Bytes that wait for the reader.
const WAITING: usize = 1 << 20;

/// How long the end of srt waits for the reader of its last lines.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Line<'a> {
    /// To observers, before everything else: which run this is.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "observers come on Linux only"))]
    Run {
        /// The words of the command, joined by spaces.
        command: &'a str,
        /// Its working directory.
        cwd: &'a str,
        /// When, as events tell the time.
        started: &'a str,
        /// Process id of the supervisor.
        pid: u32,
    },
    /// The command runs.
    Started {
        /// Its process id on the host, where it could be told.
        pid: Option<i32>,
        /// Process id of `init` on the host.
        init: Option<i32>,
    },
    /// Something was denied: when it is first seen, and once more at the end where it was repeated.
    Violation {
        /// What.
        event: &'a Event,
    },
    /// A destination was admitted or refused for the first time.
    Host { host: String, port: u16, allowed: bool },
    /// To observers: what the sandbox has at this moment.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "observers come on Linux only"))]
    Usage {
        /// Processes, without those of srt.
        processes: u64,
        /// Their memory that is not shared with files, in bytes.
        memory: u64,
        /// Denied operations up to now, all of them.
        violations: u64,
    },
    /// A host that no rule decides.
    Ask {
        /// By this the answer names it.
        id: u64,
        host: String,
        port: u16,
        /// Time for the answer.
        seconds: u64,
    },
    /// An answer was taken.
    Answered { id: u64, allow: bool, remember: &'a str },
    /// A line of settings is in force.
    Updated {
        /// Number of the line, from 1.
        line: u64,
        /// Keys that differ and cannot change while the command runs.
        ignored: Vec<&'static str>,
    },
    /// A line was not obeyed, or something else failed; the run goes on as before.
    Error { line: Option<u64>, message: String },
    /// So many lines or events are missing here, because the reader was slow.
    Dropped { count: u64 },
    /// The end; nothing follows.
    Exit {
        /// Exit status of srt.
        code: u8,
        /// Exit status of the command, where it ended by itself.
        status: Option<u8>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Denied operations, all of them.
        violations: u64,
        /// Why srt failed.
        error: Option<String>,
    },
}

impl<'a> Line<'a> {
    /// A destination.
    pub(super) fn host(destination: &Destination) -> Self {
        let Destination { target, allowed } = destination;
        Line::Host { host: target.host.to_string(), port: target.port, allowed: *allowed }
    }

    /// The end of a run.
    pub(super) fn exit(end: &End, violations: u64) -> Self {
        let (status, signal) = match end.outcome {
            Outcome::Exited(code) => (Some(code), None),
            Outcome::Killed(signal) => (None, Some(signal)),
            _ => (None, None),
        };
        Line::Exit { code: end.outcome.exit_code(), status, signal, violations, error: end.fault.as_ref().map(ToString::to_string) }
    }

    /// As JSON with its version, printable ASCII, without line break. `None` would be a fault of the layout.
    pub(super) fn json(&self) -> Option<String> {
        #[derive(Serialize)]
        struct Versioned<'a> {
            v: u8,
            #[serde(flatten)]
            line: &'a Line<'a>,
        }
        serde_json::to_string(&Versioned { v: 1, line: self }).ok().map(|json| escaped_json(&json))
    }
}

/// The name of a way to remember, as the protocol spells it.
pub(super) fn spelled(remember: Remember) -> &'static str {
    match remember {
        Remember::Once => "once",
        Remember::Run => "run",
        Remember::Always => "always",
    }
}

/// The queue of lines.
#[derive(Debug, Default)]
pub(super) struct Status {
    queue: RefCell<VecDeque<Vec<u8>>>,
    bytes: Cell<usize>,
    dropped: Cell<u64>,
    /// Nobody reads any more: nothing is kept.
    closed: Cell<bool>,
    more: Notify,
    empty: Notify,
}

impl Status {
    /// Starts writing to the caller's descriptor.
    pub(super) fn start(descriptor: Descriptor) -> Rc<Status> {
        let status = Rc::new(Status::default());
        tokio::task::spawn_local(pump(status.clone(), descriptor));
        status
    }

    /// Adds a line; never waits.
    pub(super) fn say(&self, line: &Line<'_>) {
        self.say_dropped();
        if !self.push(line) {
            self.count_dropped(1);
        }
    }

    /// Counts what could not be told.
    pub(super) fn count_dropped(&self, count: u64) {
        self.dropped.set(self.dropped.get().saturating_add(count));
    }

    /// Waits for the reader, but not for ever.
    pub(super) async fn finish(&self) {
        self.say_dropped();
        let written = async {
            while !self.queue.borrow().is_empty() && !self.closed.get() {
                self.empty.notified().await;
            }
        };
        let _ = tokio::time::timeout(LAST_WAIT, written).await;
    }

    fn say_dropped(&self) {
        let count = self.dropped.get();
        if count > 0 && self.push(&Line::Dropped { count }) {
            self.dropped.set(0);
        }
    }

    /// False where there is no room.
    fn push(&self, line: &Line<'_>) -> bool {
        let Some(json) = line.json() else { return false };
        let mut bytes = json.into_bytes();
        bytes.push(b'\n');
        let fits = self.bytes.get() + bytes.len() <= WAITING;
        if fits && !self.closed.get() {
            self.bytes.set(self.bytes.get() + bytes.len());
            self.queue.borrow_mut().push_back(bytes);
            self.more.notify_one();
        }
        fits
    }

    fn close(&self) {
        self.closed.set(true);
        self.queue.borrow_mut().clear();
        self.empty.notify_one();
    }
}

/// Writes lines as the reader takes them.
async fn pump(status: Rc<Status>, descriptor: Descriptor) {
    let Ok(writer) = Writer::new(descriptor) else { return status.close() };
    loop {
        // The line stays in the queue until it is written: an empty queue says that all is.
        let front = status.queue.borrow().front().cloned();
        match front {
            Some(line) if writer.write(&line).await.is_err() => return status.close(),
            Some(line) => {
                status.queue.borrow_mut().pop_front();
                status.bytes.set(status.bytes.get() - line.len());
            }
            None => {
                status.empty.notify_one();
                status.more.notified().await;
            }
        }
    }
}

/// A descriptor that can be waited for, or one that need not be.
enum Writer {
    Waiting(AsyncFd<Descriptor>),
    File(Descriptor),
}

impl Writer {
    fn new(descriptor: Descriptor) -> std::io::Result<Writer> {
        if descriptor.is_file() {
            return Ok(Writer::File(descriptor));
        }
        // SAFETY: the descriptor owns what it names, and always names the same.
        Ok(Writer::Waiting(unsafe { AsyncFd::register_with_interest(descriptor, Interest::WRITABLE) }?))
    }

    async fn write(&self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Writer::File(file) => file.write(bytes),
                Writer::Waiting(waiting) => {
                    let mut ready = waiting.writable().await?;
                    match ready.get_inner().write(bytes) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            ready.clear_ready();
                            continue;
                        }
                        written => written,
                    }
                }
            };
            match written {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => bytes = &bytes[written?..],
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_never_reads_costs_a_bounded_queue_and_learns_what_it_missed() {
        let status = Status::default();
        for _ in 0..100_000 {
            status.say(&Line::Error { line: None, message: "x".repeat(100) });
        }
        assert!(status.bytes.get() <= WAITING);
        let kept = status.queue.borrow().len() as u64;
        assert_eq!(kept + status.dropped.get(), 100_000);
        status.queue.borrow_mut().clear();
        status.bytes.set(0);
        status.say(&Line::Error { line: None, message: String::new() });
        let first: serde_json::Value = serde_json::from_slice(&status.queue.borrow()[0]).unwrap();
        assert_eq!((first["type"].as_str(), first["count"].as_u64()), (Some("dropped"), Some(100_000 - kept)));
    }

    #[test]
    fn lines_are_printable_and_carry_version_and_type() {
        let status = Status::default();
        status.say(&Line::Error { line: Some(3), message: "\u{1b}[2J\u{202e}\n".to_owned() });
        let line = status.queue.borrow()[0].clone();
        assert!(line.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')));
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((value["v"].as_u64(), value["type"].as_str(), value["line"].as_u64()), (Some(1), Some("error"), Some(3)));
    }
}

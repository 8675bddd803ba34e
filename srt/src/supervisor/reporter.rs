//! Denials from the kernel's own program, while the command runs.
//!
//! The command is held back until the program watches it. Where that fails, the command runs all the same: nothing is enforced here, and what could not be done is said at the end.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::ClockId;
use srt_ebpf::{Parsed, Record, watch};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::questions::Rules;
use super::records::denial;
use super::{denials, process};
use crate::Fault;
use crate::backend::{Attached, Program, Running, Scope};
use crate::host::HostLookup;
use crate::violation::{Event, EventSink, Source};

/// Bytes of the ring buffer: some thousand records.
const BUFFER: u32 = 1 << 20;
/// Records that are taken before the loop serves anybody else.
const AT_ONCE: usize = 256;
/// How long a record stands for more of the same.
const STANDS: Duration = Duration::from_millis(200);
/// Different records that are remembered.
const MOST: usize = 256;

/// The reporter of one run.
pub(super) struct Reporter {
    gate: Option<OwnedFd>,
    watch: u64,
    scope: Scope,
    files: Rules,
    events: EventSink,
    feed: Option<Feed>,
    remarks: Vec<Fault>,
    seen: HashMap<Vec<u8>, (Instant, Option<Event>)>,
}

/// Where records come from.
struct Feed {
    program: Program,
    pid_ns: u32,
    ready: AsyncFd<OwnedFd>,
}

impl Reporter {
    /// Takes the gate out of `running`.
    pub(super) fn new(running: &mut Running, files: Rules, events: EventSink) -> Reporter {
        let broker = if running.by_name { watch::BROKER } else { 0 };
        let missing = if running.hides_names { watch::MISSING } else { 0 };
        Reporter {
            gate: running.gate.take(),
            watch: broker | missing,
            scope: if running.by_name { Scope::Reads } else { Scope::All },
            files,
            events,
            feed: None,
            remarks: Vec::new(),
            seen: HashMap::new(),
        }
    }

    /// Watches the sandbox with this pid namespace, and lets the command start.
    pub(super) fn begin(&mut self, namespace: Option<OwnedFd>) {
        match namespace.ok_or_else(|| Fault::new("name the sandbox", "init sent no namespace")).and_then(|namespace| self.load(namespace)) {
            Ok(feed) => self.feed = Some(feed),
            Err(fault) => self.remarks.push(fault.hint("denied reads are not reported in this run")),
        }
        self.gate = None;
    }

    fn load(&self, namespace: OwnedFd) -> Result<Feed, Fault> {
        let inode = std::fs::File::from(namespace).metadata().map_err(|error| Fault::os("name the sandbox", error))?.ino();
        let pid_ns = u32::try_from(inode).map_err(|_| Fault::new("name the sandbox", "its number is too large"))?;
        let mut program = Program::load(self.scope, BUFFER)?;
        if let Attached::Calls { missing } = &program.attached {
            tracing::debug!("ebpf: calls that cannot be watched: {missing:?}");
        }
        program.add(pid_ns, self.watch)?;
        let fault = |error: std::io::Error| Fault::os("wait for records", error);
        let buffer = program.records.as_fd().try_clone_to_owned().map_err(fault)?;
        // SAFETY: the descriptor owns what it names, and always names the same.
        let ready = unsafe { AsyncFd::register_with_interest(buffer, Interest::READABLE) }.map_err(|error| fault(error.into()))?;
        Ok(Feed { pid_ns, ready, program })
    }

    /// Waits for records, and reports them. Never ends where there is nothing to wait for.
    pub(super) async fn report(&mut self) {
        let Some(feed) = &mut self.feed else { return std::future::pending().await };
        match feed.ready.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => return std::future::pending().await,
        }
        self.take(AT_ONCE);
    }

    /// The last records, and everything that must be said.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        self.take(usize::MAX);
        if let Some(feed) = &self.feed {
            let lost = feed.program.lost(feed.pid_ns);
            if lost > 0 {
                self.events.count_lost(lost);
                self.remarks.push(Fault::new("report every denial", format!("{lost} came too quickly")));
            }
        }
        self.remarks
    }

    fn take(&mut self, most: usize) {
        let Some(mut feed) = self.feed.take() else { return };
        let mut taken = 0;
        while taken < most
            && let Some(record) = feed.program.records.next()
        {
            self.tell(&record);
            taken += 1;
        }
        self.feed = Some(feed);
    }

    fn tell(&mut self, bytes: &[u8]) {
        let Some(parsed) = Record::parse(bytes) else { return tracing::debug!("ebpf: a record of {} bytes is none", bytes.len()) };
        let (key, now) = (identity(&parsed, bytes), Instant::now());
        let standing = self.seen.get(&key).filter(|(since, _)| now.duration_since(*since) < STANDS);
        let event = match standing {
            Some((_, event)) => event.clone(),
            None => {
                let event = event(&parsed, &self.files, self.watch & watch::BROKER != 0);
                if self.seen.len() >= MOST {
                    self.seen.clear();
                }
                self.seen.insert(key, (now, event.clone()));
                event
            }
        };
        if let Some(event) = event {
            self.events.report(event);
        }
    }
}

/// All of a record but its time.
fn identity(parsed: &Parsed<'_>, bytes: &[u8]) -> Vec<u8> {
    let untimed = Record { time: 0, ..parsed.record };
    let texts = bytes.get(size_of::<Record>()..).unwrap_or_default();
    [untimed.as_bytes(), texts].concat()
}

fn event(parsed: &Parsed<'_>, files: &Rules, broker: bool) -> Option<Event> {
    let policy = files.borrow().clone();
    let (denied, kind) = denial(parsed, &policy, broker, &HostLookup)?;
    let record = &parsed.record;
    let time = Duration::from_nanos(record.time);
    let process = process::recorded(record.pid as i32, record.tid as i32, parsed.comm(), time);
    let event = denials::event(&denied, &policy, Some(process));
    Some(Event { time: wall_clock(time), kind: kind.unwrap_or(event.kind), source: Source::Ebpf, ..event })
}

/// A time since boot as a time of day. Where the clock was set meanwhile, by the clock as it is now.
fn wall_clock(since_boot: Duration) -> SystemTime {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    let now = Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
    SystemTime::now() - now.saturating_sub(since_boot)
}

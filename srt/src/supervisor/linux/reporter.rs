//! Denials from the kernel's own program, while the command runs.
//!
//! The command is held back until the program watches it. Where that fails, the command runs all the same: nothing is enforced here, and what could not be done is said at the end.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::ClockId;
use srt_ebpf::{Parsed, Record, watch};

use super::feed::{Feed, Heard, Watched};
use super::questions::Rules;
use super::records::denial;
use super::{denials, process};
use crate::Fault;
use crate::backend::{Running, Scope};
use crate::host::HostLookup;
use crate::supervisor::Reports;
use crate::violation::{Event, EventSink, Source};

/// Records that are taken before the loop serves anybody else.
const AT_ONCE: usize = 256;
/// How long a record stands for more of the same.
const STANDS: Duration = Duration::from_millis(200);
/// Different records that are remembered.
const MOST: usize = 256;

/// What is heard of the service beside denials.
pub(super) enum News {
    /// Status lines go here too.
    Connected(OwnedFd),
    /// Somebody watches this run there, or nobody does any more.
    Watched(bool),
}

/// The reporter of one run.
pub(super) struct Reporter {
    gate: Option<OwnedFd>,
    reports: Reports,
    watch: u64,
    files: Rules,
    events: EventSink,
    feed: Option<Feed>,
    remarks: Vec<Fault>,
    lost: u64,
    away: bool,
    seen: HashMap<Vec<u8>, (Instant, Option<Event>)>,
    /// Number of `init` on the host. What the broker tries for a caller is not what the caller did.
    init: Option<i32>,
}

impl Reporter {
    /// Takes the gate out of `running`.
    pub(super) fn new(running: &mut Running, reports: Reports, files: Rules, events: EventSink) -> Reporter {
        let broker = if running.by_name { watch::BROKER } else { 0 };
        let missing = if running.hides_names { watch::MISSING } else { 0 };
        Reporter {
            gate: running.gate.take(),
            reports,
            watch: broker | missing,
            files,
            events,
            feed: None,
            remarks: Vec::new(),
            lost: 0,
            away: false,
            seen: HashMap::new(),
            init: crate::backend::id_of(&running.init),
        }
    }

    /// Does the command still wait for us?
    pub(super) fn holds_the_command(&self) -> bool {
        self.gate.is_some()
    }

    /// Watches the sandbox with this pid namespace, and lets the command start.
    pub(super) fn begin(&mut self, namespace: Option<OwnedFd>) -> Option<News> {
        let feed =
            namespace.ok_or_else(|| Fault::new("name the sandbox", "init sent no namespace")).and_then(|namespace| self.feed(namespace));
        match feed {
            Ok(feed) => self.feed = feed,
            Err(fault) => self
                .remarks
                .push(fault.hint("what the kernel denies without asking the broker, reading above all, is not reported in this run")),
        }
        self.gate = None;
        self.feed.as_ref()?.line_out().map(News::Connected)
    }

    fn feed(&self, namespace: OwnedFd) -> Result<Option<Feed>, Fault> {
        let mut watched = Watched { namespace, watch: self.watch, command: self.reports.command.clone() };
        if let Some(path) = &self.reports.service {
            match Feed::service(path, watched)? {
                Ok(feed) => return Ok(Some(feed)),
                Err(given_back) => watched = given_back,
            }
        }
        let scope = if self.watch & watch::BROKER == 0 { Scope::All } else { Scope::Reads };
        match self.reports.own {
            true => Feed::own(watched, scope).map(Some),
            false if self.reports.wanted => Err(Fault::new("report denied reads", "the service `srt monitor` does not listen")),
            false => Ok(None),
        }
    }

    /// Waits for records, and reports them; what else was heard. Never ends where there is nothing to wait for.
    pub(super) async fn report(&mut self) -> Vec<News> {
        let Some(feed) = &mut self.feed else { return std::future::pending().await };
        feed.ready().await;
        let mut news = Vec::new();
        for _ in 0..AT_ONCE {
            let Some(feed) = &mut self.feed else { break };
            match feed.next() {
                Some(Heard::Observed(watched)) => news.push(News::Watched(watched)),
                Some(Heard::Away(false)) => news.extend(feed.line_out().map(News::Connected)),
                Some(heard) => self.hear(heard),
                None => break,
            }
        }
        news
    }

    /// The last records, and everything that must be said.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        if let Some(mut feed) = self.feed.take() {
            feed.last(|heard| self.hear(heard));
        }
        if self.lost > 0 {
            self.events.count_lost(self.lost);
            self.remarks.push(Fault::new("report every denial", format!("{} came too quickly", self.lost)));
        }
        if self.away {
            let fault = Fault::new("report every denial", "the service `srt monitor` was away for a time");
            self.remarks.push(fault.hint("denied reads of that time are not reported"));
        }
        self.remarks
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Record(bytes) => self.tell(&bytes),
            Heard::Lost(count) => self.lost = self.lost.saturating_add(count),
            Heard::Away(away) => self.away |= away,
            Heard::Observed(_) => {}
        }
    }

    fn tell(&mut self, bytes: &[u8]) {
        let Some(parsed) = Record::parse(bytes) else { return tracing::debug!("ebpf: a record of {} bytes is none", bytes.len()) };
        if self.init == Some(parsed.record.pid as i32) {
            return;
        }
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

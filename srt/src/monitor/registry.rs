//! Who is here: the running sandboxes, and those who watch them.
//!
//! No system calls but sends that never wait. What is kept of a run is bounded; who comes late to watch is told what is missing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::outbox::Outbox;
use super::wire::{self, Answer, Line, Shown};

/// Bytes of status lines that are kept of a run.
const KEPT: usize = 4 * 1024;

/// Somebody who is told of everything on this host, and is no client.
pub(super) trait Sink {
    /// A packet as watchers get it, about a run of this user.
    fn packet(&mut self, uid: u32, packet: &[u8]);
    /// A status line about a denied operation.
    fn violation(&mut self, run: &Shown<'_>, line: &[u8]);
}

/// A running sandbox.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) uid: u32,
    pub(super) pid: i32,
    pub(super) command: String,
    pub(super) started: String,
    /// Number of its pid namespace, which stays its own as long as the descriptor is open.
    pub(super) pid_ns: u32,
    pub(super) namespace: OwnedFd,
    pub(super) outbox: Rc<Outbox>,
    /// Calls that had passed by all sandboxes when it came ([`crate::backend::Program::passed_by`]).
    pub(super) passed_by: u64,
}

#[derive(Debug)]
struct Here {
    run: Run,
    kept: VecDeque<Box<[u8]>>,
    kept_bytes: usize,
    /// Lines that were kept and are no more.
    forgotten: u64,
    /// Records that the kernel lost, as far as the run has been told.
    lost: u64,
    /// The run wants to know when so many bytes of records have been seen.
    sync: Option<u64>,
    observed: bool,
}

#[derive(Debug)]
struct Watcher {
    uid: u32,
    outbox: Rc<Outbox>,
    /// Runs below this number have been introduced.
    next: u64,
}

/// All of them.
#[derive(Default)]
pub(super) struct Registry {
    runs: BTreeMap<u64, Here>,
    by_namespace: HashMap<u32, u64>,
    watchers: BTreeMap<u64, Watcher>,
    last: u64,
    pub(super) sinks: Vec<Box<dyn Sink>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("runs", &self.runs).field("watchers", &self.watchers).finish_non_exhaustive()
    }
}

impl Watcher {
    fn may_see(&self, run: &Run) -> bool {
        self.uid == 0 || self.uid == run.uid
    }
}

impl Here {
    fn shown(&self, id: u64) -> Shown<'_> {
        let Run { uid, pid, command, started, .. } = &self.run;
        Shown { run: id, uid: *uid, pid: *pid, command, started }
    }

    fn keep(&mut self, line: &[u8]) {
        self.kept_bytes += line.len();
        self.kept.push_back(line.into());
        while self.kept_bytes > KEPT {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.len();
            self.forgotten += 1;
        }
    }
}

impl Registry {
    /// Nobody, and those who are told of everything.
    pub(super) fn new(sinks: Vec<Box<dyn Sink>>) -> Registry {
        Registry { sinks, ..Registry::default() }
    }

    /// Is a sandbox with this pid namespace here already?
    pub(super) fn has(&self, pid_ns: u32) -> bool {
        self.by_namespace.contains_key(&pid_ns)
    }

    /// Adds a run; its number.
    pub(super) fn add(&mut self, run: Run) -> u64 {
        self.last += 1;
        let id = self.last;
        self.by_namespace.insert(run.pid_ns, id);
        let here = Here { run, kept: VecDeque::new(), kept_bytes: 0, forgotten: 0, lost: 0, sync: None, observed: false };
        let packet = here.shown(id).encode();
        self.runs.insert(id, here);
        self.tell(id, &packet);
        self.observe();
        id
    }

    /// A run has ended; its number there.
    pub(super) fn remove(&mut self, id: u64) -> Option<u32> {
        self.tell(id, &wire::end(id));
        let here = self.runs.remove(&id)?;
        self.by_namespace.remove(&here.run.pid_ns);
        // The number may be given to another namespace from now on.
        drop(here.run.namespace);
        Some(here.run.pid_ns)
    }

    /// A run says something.
    pub(super) fn line(&mut self, id: u64, kind: Line, line: &[u8]) {
        let Some(here) = self.runs.get_mut(&id) else { return };
        if kind != Line::Passing {
            here.keep(line);
        }
        let packet = wire::line(id, line);
        if kind == Line::Violation {
            let shown = here.shown(id);
            self.sinks.iter_mut().for_each(|sink| sink.violation(&shown, line));
        }
        self.tell(id, &packet);
    }

    /// A record of the kernel's, as a packet.
    pub(super) fn record(&self, pid_ns: u32, packet: &[u8]) {
        let here = self.by_namespace.get(&pid_ns).and_then(|id| self.runs.get(id));
        // A run that has just ended needs it no more.
        if let Some(here) = here {
            here.run.outbox.push(packet);
        }
    }

    /// What the kernel lost of each run, by its own count.
    pub(super) fn lost(&mut self, count: impl Fn(u32) -> u64) {
        for here in self.runs.values_mut() {
            let lost = count(here.run.pid_ns);
            here.run.outbox.count_missed(lost.saturating_sub(here.lost));
            here.run.outbox.push_missed();
            here.lost = lost;
        }
    }

    /// A run wants to know when records up to this place have been passed on.
    pub(super) fn sync(&mut self, id: u64, place: u64) {
        if let Some(here) = self.runs.get_mut(&id) {
            here.sync = Some(place);
        }
    }

    /// Answers those who waited for this place. `passed_by` is asked once, and only where somebody did.
    pub(super) fn synced(&mut self, place: u64, passed_by: impl FnOnce() -> u64) {
        let passed_by = std::cell::LazyCell::new(passed_by);
        for here in self.runs.values_mut().filter(|here| here.sync.is_some_and(|wanted| wanted <= place)) {
            here.sync = None;
            let passed_by = passed_by.saturating_sub(here.run.passed_by);
            // One that asks again and again and does not read gets no more answers.
            let _ = here.run.outbox.push_short(&Answer::Synced(passed_by).encode());
        }
    }

    /// Adds a watcher, who sees nothing until he is shown it; his number.
    pub(super) fn watch(&mut self, uid: u32, outbox: Rc<Outbox>) -> u64 {
        self.last += 1;
        self.watchers.insert(self.last, Watcher { uid, outbox, next: 0 });
        let id = self.last;
        self.observe();
        id
    }

    /// A watcher has gone.
    pub(super) fn unwatch(&mut self, id: u64) {
        self.watchers.remove(&id);
        self.observe();
    }

    /// Shows a watcher the next run that he may see, with what was kept of it. `false` when he has seen all: from then on he is told of new ones.
    pub(super) fn introduce(&mut self, watcher: u64) -> bool {
        let Some(watcher) = self.watchers.get_mut(&watcher) else { return false };
        let next = self.runs.range(watcher.next..).find(|(_, here)| watcher.may_see(&here.run));
        let Some((id, here)) = next else {
            watcher.next = u64::MAX;
            return false;
        };
        watcher.next = id + 1;
        watcher.outbox.push(&here.shown(*id).encode());
        if here.forgotten > 0 {
            watcher.outbox.push(&wire::line(*id, &wire::dropped(here.forgotten)));
        }
        here.kept.iter().for_each(|line| watcher.outbox.push(&wire::line(*id, line)));
        true
    }

    fn tell(&mut self, id: u64, packet: &[u8]) {
        let Some(here) = self.runs.get(&id) else { return };
        for watcher in self.watchers.values().filter(|watcher| id < watcher.next && watcher.may_see(&here.run)) {
            watcher.outbox.push(packet);
        }
        self.sinks.iter_mut().for_each(|sink| sink.packet(here.run.uid, packet));
    }

    /// Tells runs whether anybody watches them, where that has changed.
    fn observe(&mut self) {
        for here in self.runs.values_mut() {
            let observed = !self.sinks.is_empty() || self.watchers.values().any(|watcher| watcher.may_see(&here.run));
            if observed != here.observed && here.run.outbox.push_short(&Answer::Observed(observed).encode()) {
                here.observed = observed;
            }
        }
    }
}

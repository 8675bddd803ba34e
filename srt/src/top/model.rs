//! What is known of the runs, and what of it is looked at. Pure: fed with messages, read by the views.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use super::message::{About, Key, Line, Message};
use crate::violation::{Event, Kind};

/// Runs, and denials and hosts of each, that are kept. A run tells no more than 1000 itself.
const MAX_RUNS: usize = 1024;
const MAX_KEPT: usize = 1000;

/// Bytes of text that are kept: of one run, of all runs of one user, and of all.
const MAX_RUN_BYTES: usize = 2 << 20;
const MAX_USER_BYTES: usize = 16 << 20;
const MAX_BYTES: usize = 48 << 20;
/// What an entry costs besides its text.
const ENTRY: usize = 512;

/// Longest command and directory, in characters.
const LONGEST_TEXT: usize = 1024;

/// How long a run is shown after its end.
const AFTERGLOW: Duration = Duration::from_secs(10);

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) about: About,
    pub(super) usage: Option<Usage>,
    /// Distinct, in the order in which they were first heard of.
    pub(super) denials: Vec<Event>,
    pub(super) allowed: BTreeSet<String>,
    pub(super) denied: BTreeSet<String>,
    /// Lines that the run could not tell.
    pub(super) missing: u64,
    pub(super) end: Option<End>,
    places: HashMap<Same, usize>,
    /// What is kept of it.
    bytes: usize,
}

/// By these, two lines are about the same denial.
type Same = (Kind, String, String, Option<String>);

/// What a sandbox has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) processes: u64,
    pub(super) memory: u64,
    violations: u64,
}

/// How a run ended, where it said so, and when that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: Option<u8>,
    at: SystemTime,
}

/// By what the runs are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// The newest last.
    #[default]
    Started,
    Memory,
    Denials,
    Command,
}

impl Sort {
    pub(super) fn of_key(letter: char) -> Option<Sort> {
        match letter {
            't' => Some(Sort::Started),
            'm' => Some(Sort::Memory),
            'd' => Some(Sort::Denials),
            'c' => Some(Sort::Command),
            _ => None,
        }
    }

    pub(super) fn next(self) -> Sort {
        match self {
            Sort::Started => Sort::Memory,
            Sort::Memory => Sort::Denials,
            Sort::Denials => Sort::Command,
            Sort::Command => Sort::Started,
        }
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Model {
    runs: BTreeMap<Key, Run>,
    /// What is kept of the runs of each user.
    bytes: BTreeMap<u32, usize>,
    /// Runs that are not listened to, and runs that were not kept.
    hidden: usize,
    unkept: usize,
    sort: Sort,
    selected: Option<Key>,
    details: bool,
    scroll: usize,
}

impl Run {
    fn new(about: About) -> Self {
        Run {
            about,
            usage: None,
            denials: Vec::new(),
            allowed: BTreeSet::new(),
            denied: BTreeSet::new(),
            missing: 0,
            end: None,
            places: HashMap::new(),
            bytes: 0,
        }
    }

    /// Adds what it said, where there is room for so many bytes more.
    fn take(&mut self, line: Line, room: usize, now: SystemTime) {
        let room = room.min(MAX_RUN_BYTES.saturating_sub(self.bytes));
        match line {
            Line::Violation { event } => self.deny(*event, room),
            Line::Host { host, port, allowed } => self.host(format!("{host}:{port}"), allowed, room),
            Line::Usage { processes, memory, violations } => self.usage = Some(Usage { processes, memory, violations }),
            Line::Dropped { count } => self.missing = self.missing.saturating_add(count),
            Line::Exit { code } => self.end = Some(End { code: Some(code), at: now }),
            Line::Other => {}
        }
    }

    /// The same denial comes again with its final count.
    fn deny(&mut self, event: Event, room: usize) {
        // A name that is not resolved is never asked for with a port.
        if event.kind == Kind::NetDns {
            self.host(event.target.clone(), false, room / 2);
        }
        let bytes = size(&event);
        let same = (event.kind, event.operation.clone(), event.target.clone(), event.process.as_ref().map(|process| process.exe.clone()));
        match self.places.get(&same) {
            Some(place) => self.denials[*place].count = self.denials[*place].count.max(event.count),
            None if self.denials.len() < MAX_KEPT && bytes <= room => {
                self.bytes += bytes;
                self.places.insert(same, self.denials.len());
                self.denials.push(event);
            }
            None => self.missing = self.missing.saturating_add(1),
        }
    }

    fn host(&mut self, host: String, allowed: bool, room: usize) {
        let hosts = if allowed { &mut self.allowed } else { &mut self.denied };
        let bytes = host.len() + ENTRY;
        if hosts.len() < MAX_KEPT && bytes <= room && hosts.insert(host) {
            self.bytes += bytes;
        }
    }

    /// Denied operations, as far as they are known.
    pub(super) fn total(&self) -> u64 {
        let heard = self.denials.iter().fold(0u64, |sum, event| sum.saturating_add(event.count));
        self.usage.map_or(heard, |usage| usage.violations.max(heard))
    }

    pub(super) fn uptime(&self, now: SystemTime) -> Option<Duration> {
        let until = self.end.map_or(now, |end| end.at);
        Some(until.duration_since(self.about.started?).unwrap_or_default())
    }
}

/// What is kept for a denial: the event, and what it is found by.
fn size(event: &Event) -> usize {
    let process = event.process.as_ref().map_or(0, |process| {
        let arguments: usize = process.argv.iter().map(|word| word.len() + size_of::<String>()).sum();
        2 * process.exe.len() + process.comm.len() + arguments
    });
    let texts = [&event.reason, &event.rule.id, &event.rule.origin].into_iter().chain(&event.allow).map(String::len).sum::<usize>();
    ENTRY + 2 * (event.operation.len() + event.target.len()) + event.errno.as_ref().map_or(0, |errno| errno.len()) + texts + process
}

impl Model {
    /// One message.
    pub(super) fn take(&mut self, message: Message, now: SystemTime) {
        match message {
            Message::Run(key, about) => self.begin(key, about),
            Message::Line(key, line) => {
                let Some(uid) = self.runs.get(&key).map(|run| run.about.uid) else { return };
                let room = self.room(uid);
                if let Some(run) = self.runs.get_mut(&key) {
                    let before = run.bytes;
                    run.take(line, room, now);
                    *self.bytes.entry(uid).or_default() += run.bytes - before;
                }
            }
            Message::Hidden(count) => self.hidden = count,
            Message::End(key) => {
                if let Some(run) = self.runs.get_mut(&key) {
                    run.end.get_or_insert(End { code: None, at: now });
                }
            }
            Message::NoService => self.keep(|key, _| !matches!(key, Key::Service(_))),
        }
    }

    /// Where there is no room, the user who has most runs here has one less: he hides none but his own.
    fn begin(&mut self, key: Key, about: About) {
        let run = Run::new(About {
            command: about.command.chars().take(LONGEST_TEXT).collect(),
            directory: about.directory.chars().take(LONGEST_TEXT).collect(),
            ..about
        });
        if self.runs.len() >= MAX_RUNS && !self.runs.contains_key(&key) {
            let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
            self.runs.values().for_each(|run| *counts.entry(run.about.uid).or_default() += 1);
            self.unkept = self.unkept.saturating_add(1);
            let Some((&uid, _)) = counts.iter().max_by_key(|(_, count)| **count) else { return };
            let last = self.runs.iter().rev().find(|(_, run)| run.about.uid == uid).map(|(key, _)| *key);
            if uid == run.about.uid {
                return;
            }
            self.keep(|key, _| Some(*key) != last);
        }
        self.keep(|other, _| *other != key);
        self.runs.insert(key, run);
    }

    /// Bytes that may be kept of a user yet.
    fn room(&self, uid: u32) -> usize {
        let all: usize = self.bytes.values().sum();
        let of_one = self.bytes.get(&uid).copied().unwrap_or_default();
        MAX_BYTES.saturating_sub(all).min(MAX_USER_BYTES.saturating_sub(of_one))
    }

    fn keep(&mut self, mut wanted: impl FnMut(&Key, &Run) -> bool) {
        let bytes = &mut self.bytes;
        self.runs.retain(|key, run| {
            let wanted = wanted(key, run);
            if !wanted && let Some(of_one) = bytes.get_mut(&run.about.uid) {
                *of_one -= run.bytes;
            }
            wanted
        });
        bytes.retain(|_, of_one| *of_one > 0);
    }

    /// Runs that are there and not shown, for there are too many.
    pub(super) fn hidden(&self) -> usize {
        self.hidden.saturating_add(self.unkept)
    }

    /// Ended runs go after a moment, but not while somebody reads about one.
    pub(super) fn forget_ended(&mut self, now: SystemTime) {
        let read = self.selected.filter(|_| self.details);
        let over = |end: &End| now.duration_since(end.at).is_ok_and(|since| since > AFTERGLOW);
        self.keep(|key, run| read == Some(*key) || !run.end.as_ref().is_some_and(over));
    }

    /// The runs in their order. What the service says of one that speaks for itself is left out.
    pub(super) fn shown(&self) -> Vec<(Key, &Run)> {
        let own = |about: &About| Key::Own { uid: about.uid, pid: about.pid };
        let twice = |(key, run): &(&Key, &Run)| matches!(key, Key::Service(_)) && self.runs.contains_key(&own(&run.about));
        let mut shown: Vec<(Key, &Run)> = self.runs.iter().filter(|run| !twice(run)).map(|(key, run)| (*key, run)).collect();
        // Stable, and from an order by key: equal ones do not change places from one moment to the next.
        match self.sort {
            Sort::Started => shown.sort_by_key(|(_, run)| run.about.started),
            Sort::Memory => shown.sort_by_key(|(_, run)| std::cmp::Reverse(run.usage.map_or(0, |usage| usage.memory))),
            Sort::Denials => shown.sort_by_key(|(_, run)| std::cmp::Reverse(run.total())),
            Sort::Command => shown.sort_by(|(_, one), (_, other)| one.about.command.cmp(&other.about.command)),
        }
        shown
    }

    /// The run that is selected, and its place among those shown. The first where none was chosen, or the chosen one is gone.
    pub(super) fn selected(&self) -> Option<(usize, &Run)> {
        let shown = self.shown();
        let place = shown.iter().position(|(key, _)| Some(*key) == self.selected).unwrap_or(0);
        shown.get(place).map(|(_, run)| (place, *run))
    }

    pub(super) fn sort(&self) -> Sort {
        self.sort
    }

    pub(super) fn sort_by(&mut self, sort: Sort) {
        self.sort = sort;
    }

    /// Is one run looked at alone? It may have gone meanwhile.
    pub(super) fn details(&self) -> bool {
        self.details && !self.runs.is_empty()
    }

    pub(super) fn toggle_details(&mut self) {
        // From now on it is this one, whatever comes before it.
        self.select(0);
        (self.details, self.scroll) = (!self.details, 0);
    }

    pub(super) fn close_details(&mut self) {
        self.details = false;
    }

    pub(super) fn up(&mut self, count: isize) {
        if self.details { self.scroll = self.scroll.saturating_sub(count.unsigned_abs()) } else { self.select(-count) }
    }

    pub(super) fn down(&mut self, count: isize) {
        if self.details { self.scroll = self.scroll.saturating_add(count.unsigned_abs()) } else { self.select(count) }
    }

    fn select(&mut self, by: isize) {
        let place = self.selected().map_or(0, |(place, _)| place);
        let shown = self.shown();
        let wanted = place.saturating_add_signed(by).min(shown.len().saturating_sub(1));
        self.selected = shown.get(wanted).map(|(key, _)| *key);
    }

    /// Lines of the details that are above the screen, at most `most`, which the view knows.
    pub(super) fn scroll(&mut self, most: usize) -> usize {
        self.scroll = self.scroll.min(most);
        self.scroll
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    pub(in crate::top) const NOW: Duration = Duration::from_secs(1_800_000_000);

    pub(in crate::top) fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + NOW
    }

    pub(in crate::top) fn about(pid: u32, command: &str, seconds: u64) -> About {
        let started = now().checked_sub(Duration::from_secs(seconds));
        About { uid: 1000, user: "ada".to_owned(), pid, command: command.to_owned(), directory: "/home/ada/project".to_owned(), started }
    }

    pub(in crate::top) fn key(pid: u32) -> Key {
        Key::Own { uid: 1000, pid }
    }

    /// Two runs: one with denials and hosts, one quiet.
    pub(in crate::top) fn model() -> Model {
        let mut model = Model::default();
        let mut event = crate::violation::testing::event("ads.test:443");
        (event.time, event.count) = (now() - Duration::from_secs(5), 3);
        let host = |host: &str, allowed| Line::Host { host: host.to_owned(), port: 443, allowed };
        for message in [
            Message::Run(key(4711), about(4711, "cargo build --release", 3725)),
            Message::Run(key(99), about(99, "npm test", 61)),
            Message::Line(key(4711), host("crates.test", true)),
            Message::Line(key(4711), host("ads.test", false)),
            Message::Line(key(4711), Line::Violation { event: Box::new(event) }),
            Message::Line(key(4711), Line::Usage { processes: 7, memory: 300 << 20, violations: 3 }),
        ] {
            model.take(message, now());
        }
        model
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;
    use crate::violation::testing::event;

    fn pids(model: &Model) -> Vec<u32> {
        model.shown().iter().map(|(_, run)| run.about.pid).collect()
    }

    fn violation(target: &str, count: u64) -> Line {
        let mut event = event(target);
        event.count = count;
        Line::Violation { event: Box::new(event) }
    }

    #[test]
    fn runs_are_ordered_as_asked_and_the_selection_stays_with_its_run() {
        let mut model = model();
        assert_eq!(pids(&model), [4711, 99]);
        model.down(1);
        assert_eq!(model.selected().map(|(place, run)| (place, run.about.pid)), Some((1, 99)));
        model.take(Message::Run(key(5), about(5, "a new one", 10_000)), now());
        assert_eq!(pids(&model), [5, 4711, 99]);
        assert_eq!(model.selected().map(|(place, run)| (place, run.about.pid)), Some((2, 99)));
        model.sort_by(Sort::Memory);
        assert_eq!(pids(&model)[0], 4711);
        model.sort_by(Sort::Command);
        assert_eq!(pids(&model), [5, 4711, 99]);
        model.down(100);
        model.up(1);
        assert_eq!(model.selected().map(|(place, _)| place), Some(1));
    }

    #[test]
    fn a_denial_that_comes_again_is_counted_once() {
        let mut model = Model::default();
        model.take(Message::Run(key(1), about(1, "x", 1)), now());
        for (target, count) in [("a:1", 1), ("b:1", 1), ("a:1", 5)] {
            model.take(Message::Line(key(1), violation(target, count)), now());
        }
        let (_, run) = model.selected().unwrap();
        assert_eq!((run.denials.len(), run.total()), (2, 6));
    }

    #[test]
    fn a_run_that_speaks_for_itself_is_not_shown_again_for_the_service() {
        let mut model = model();
        for (id, pid) in [(1, 4711), (2, 12)] {
            model.take(Message::Run(Key::Service(id), about(pid, "service", 1)), now());
        }
        assert_eq!(pids(&model), [4711, 99, 12]);
        model.take(Message::NoService, now());
        assert_eq!(pids(&model), [4711, 99]);
    }

    #[test]
    fn an_ended_run_goes_after_a_while_but_not_while_it_is_read() {
        let mut model = model();
        model.take(Message::Line(key(4711), Line::Exit { code: 3 }), now());
        model.take(Message::End(key(4711)), now());
        assert_eq!(model.selected().unwrap().1.end.unwrap().code, Some(3));
        model.toggle_details();
        let later = now() + AFTERGLOW + Duration::from_secs(1);
        model.forget_ended(later);
        assert_eq!(pids(&model).len(), 2);
        model.close_details();
        model.forget_ended(later);
        assert_eq!(pids(&model), [99]);
    }

    #[test]
    fn a_run_that_tells_without_end_costs_a_bounded_amount() {
        let mut model = Model::default();
        model.take(Message::Run(key(1), about(1, "x", 1)), now());
        for number in 0..3 * MAX_KEPT {
            model.take(Message::Line(key(1), violation(&format!("{number}:1"), 1)), now());
            model.take(Message::Line(key(1), Line::Host { host: format!("h{number}"), port: 1, allowed: true }), now());
        }
        let (_, run) = model.selected().unwrap();
        assert_eq!((run.denials.len(), run.allowed.len(), run.missing), (MAX_KEPT, MAX_KEPT, 2 * MAX_KEPT as u64));
        for pid in 0..2 * MAX_RUNS as u32 {
            model.take(Message::Run(key(pid), about(pid, "x", 1)), now());
        }
        assert_eq!(model.shown().len(), MAX_RUNS);
    }

    fn of_user(uid: u32, pid: u32) -> Message {
        Message::Run(Key::Own { uid, pid }, About { uid, ..about(pid, "x", 1) })
    }

    #[test]
    fn long_texts_cost_a_bounded_amount_for_a_run_and_a_user_and_leave_room_for_others() {
        let mut model = Model::default();
        for pid in 0..100 {
            model.take(of_user(1, pid), now());
            for number in 0..20 {
                let target = format!("{number}{}", "a".repeat(60_000));
                model.take(Message::Line(Key::Own { uid: 1, pid }, violation(&target, 1)), now());
            }
        }
        let kept = |model: &Model, uid| model.runs.values().filter(|run| run.about.uid == uid).map(|run| run.bytes).sum::<usize>();
        assert!(model.runs.values().all(|run| run.bytes <= MAX_RUN_BYTES && (run.missing > 0 || run.denials.len() == 20)));
        assert!(kept(&model, 1) <= MAX_USER_BYTES && kept(&model, 1) > MAX_USER_BYTES / 2);
        model.take(of_user(2, 1), now());
        model.take(Message::Line(Key::Own { uid: 2, pid: 1 }, violation("seen", 1)), now());
        assert!(kept(&model, 2) > 0, "another user's are kept");
        assert_eq!(model.bytes.values().sum::<usize>(), kept(&model, 1) + kept(&model, 2));
        model.keep(|key, _| !matches!(key, Key::Own { uid: 1, .. }));
        assert_eq!(model.bytes.keys().copied().collect::<Vec<_>>(), [2], "what goes leaves room");
    }

    #[test]
    fn a_user_with_many_runs_hides_none_but_his_own() {
        let mut model = Model::default();
        (0..MAX_RUNS as u32 + 50).for_each(|pid| model.take(of_user(1, pid), now()));
        assert_eq!((model.runs.len(), model.hidden()), (MAX_RUNS, 50));
        (0..10).for_each(|pid| model.take(of_user(2, pid), now()));
        assert_eq!(model.runs.values().filter(|run| run.about.uid == 2).count(), 10);
        assert_eq!((model.runs.len(), model.hidden()), (MAX_RUNS, 60));
    }
}

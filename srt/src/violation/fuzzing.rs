//! Fuzz targets: text of the sandbox that is shown, suggested and kept.

use std::collections::BTreeSet;

use super::store::Run;
use super::testing::event;
use super::{Event, Kind, Process, list, sanitise, suggest};
use crate::policy::{DomainList, DomainPattern, Target};

const KINDS: [Kind; 9] = [
    Kind::NetConnect,
    Kind::NetDns,
    Kind::NetHttp,
    Kind::NetTls,
    Kind::FsWrite,
    Kind::FsRead,
    Kind::FsExec,
    Kind::UnixConnect,
    Kind::Syscall,
];
/// Rules beside the one that the input names.
const RULES: [&str; 4] = ["net.default", "fs.default-write", "unix.default", "net.ask"];

/// Events, apart by a byte that no text has; see [`read`].
pub(crate) fn show(data: &[u8]) {
    let events: Vec<Event> = data.split(|byte| *byte == 0xff).take(6).map(read).collect();
    for event in &events {
        [&event.target, &event.operation, &event.reason].into_iter().for_each(|text| is_sanitised(text));
        is_safe(&event.line());
        json_is_exact(event);
    }
    let mut shown = Vec::new();
    list(&events, 3, &mut shown).expect("memory takes everything");
    let shown = String::from_utf8(shown).expect("text");
    shown.lines().for_each(is_safe);
    assert!(shown.matches('\n').count() <= 4 * events.len() + 1, "{shown:?}");
    what_is_suggested_was_tried(&events);
}

/// A byte for kind and rule, then target, operation, reason, rule, name of the program, each up to a NUL.
fn read(bytes: &[u8]) -> Event {
    let (choice, rest) = bytes.split_first().map_or((0, bytes), |(choice, rest)| (usize::from(*choice), rest));
    let mut fields = rest.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned());
    let mut event = event(&fields.next().unwrap_or_default());
    event.kind = KINDS[choice % KINDS.len()];
    event.operation = fields.next().unwrap_or_default();
    event.reason = fields.next().unwrap_or_default();
    event.rule.id = RULES.get(choice / KINDS.len() % 5).map_or_else(|| fields.next().unwrap_or_default(), |rule| (*rule).to_owned());
    let comm = fields.next().unwrap_or_default();
    let argv = fields.by_ref().collect();
    event.process = (choice >= 128).then(|| Process { pid: 7, ppid: 1, exe: comm.clone(), comm, argv });
    event
}

/// Nothing that drives a terminal, hides, or changes the order of reading.
fn is_safe(line: &str) {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '<' | '>' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e01ef}')
    };
    assert!(!line.contains(hidden), "{line:?}");
}

fn is_sanitised(text: &str) {
    let shown = sanitise(text);
    is_safe(&shown);
    assert!(shown.chars().count() <= 1025);
    assert_eq!(sanitise(&shown), shown);
    // Nothing is made up: what is left stood there in this order.
    let mut rest = text.chars();
    assert!(shown.chars().all(|shown| matches!(shown, ' ' | '…') || rest.any(|c| c == shown)), "{text:?} as {shown:?}");
}

fn json_is_exact(event: &Event) {
    let line = event.json_line().expect("every event is JSON");
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'<' | b'>')), "{line:?}");
    let back: Event = serde_json::from_str(&line).expect("what was written is read");
    assert_eq!(serde_json::to_value(&back).ok(), serde_json::to_value(event).ok());
}

/// A suggestion is settings, and says exactly what was denied by default.
fn what_is_suggested_was_tried(events: &[Event]) {
    let text = suggest(events);
    let settings = crate::settings::parse_text("suggestion", &text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    let mut only_lists = settings.clone();
    (only_lists.network.allowed_domains, only_lists.network.allow_unix_sockets) = Default::default();
    only_lists.filesystem.allow_write.clear();
    assert_eq!(format!("{only_lists:?}"), format!("{:?}", crate::settings::Settings::default()));
    let by_default = |kind: &[Kind], rule: &str| -> BTreeSet<&str> {
        let same = |id: &str| id == rule || (rule == "default" && id.ends_with(rule));
        let denied = events.iter().filter(|event| kind.contains(&event.kind) && same(&event.rule.id));
        denied.map(|event| event.target.as_str()).collect()
    };
    let paths = |list: &[crate::policy::Located<crate::settings::PathEntry>], tried: &BTreeSet<&str>| {
        assert!(list.iter().all(|entry| tried.contains(entry.value.text.as_str())), "{text}");
    };
    paths(&settings.filesystem.allow_write, &by_default(&[Kind::FsWrite], "fs.default-write"));
    paths(&settings.network.allow_unix_sockets, &by_default(&[Kind::UnixConnect], "default"));
    let hosts = by_default(&[Kind::NetConnect, Kind::NetDns, Kind::NetHttp], "net.default");
    let targets: Vec<Target> = hosts.iter().filter_map(|host| Target::parse(host).ok()).collect();
    let patterns = settings.network.allowed_domains.iter();
    let patterns: Vec<_> = patterns.map(|entry| DomainPattern::parse(&entry.value, DomainList::Allow).expect("an entry")).collect();
    for target in &targets {
        let can_be_named = DomainPattern::parse(&target.to_string(), DomainList::Allow).is_ok();
        assert_eq!(patterns.iter().any(|pattern| pattern.matches(&target.host, target.port)), can_be_named, "{target}: {text}");
    }
    let tried = |pattern: &DomainPattern| {
        hosts.iter().any(|text| {
            let host = crate::policy::Host::parse(text).map(|host| (host, 443)).ok();
            let target = Target::parse(text).map(|target| (target.host, target.port)).ok();
            target.or(host).is_some_and(|(host, port)| pattern.matches(&host, port))
        })
    };
    assert!(patterns.iter().all(tried), "{text}");
}

/// The file of a run.
pub(crate) fn store(data: &[u8]) {
    let Some(run) = Run::parse(&String::from_utf8_lossy(data)) else { return };
    let line = run.json_line().expect("every run is JSON");
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
    let lines = run.lines().expect("every run is JSON");
    let back = Run::parse(&lines).expect("what was written is read");
    // The file holds so many bytes; fuzzing stays below.
    assert_eq!(back.json_line().ok(), Some(line));
    assert_eq!(back.lines().ok(), Some(lines));
    assert_eq!(back.started(), run.started());
    show_every(&back.events);
}

fn show_every(events: &[Event]) {
    let mut shown = Vec::new();
    list(events, 0, &mut shown).expect("memory takes everything");
    String::from_utf8_lossy(&shown).lines().for_each(is_safe);
    what_is_suggested_was_tried(events);
}

//! The smallest change of settings that would have allowed what was denied.
//!
//! Pure. Never wider than what was tried: a host with the port, a path and not its directory. What the user, or srt for the user's sake, denied by name is not
//! suggested; it is listed with what would lift it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Event, Kind, sanitise};
use crate::policy::{DomainList, DomainPattern, Host, Target};

/// A list of the settings: table and key.
type List = (&'static str, &'static str);

/// Elements, as JSON, each with the events that ask for it.
type Elements = BTreeMap<String, Vec<String>>;

const ALLOWED_DOMAINS: List = ("network", "allowedDomains");
const ALLOW_UNIX_SOCKETS: List = ("network", "allowUnixSockets");
const ALLOW_WRITE: List = ("filesystem", "allowWrite");

/// What to do about an event.
enum Advice {
    /// Add this element, as JSON, to a list.
    Add(List, String),
    /// Nothing; this would lift it.
    Leave(String),
}

/// A fragment in the syntax of a settings file. Comments name the events; `//` also begins what is not suggested.
pub fn suggest(events: &[Event]) -> String {
    let mut lists: BTreeMap<List, Elements> = BTreeMap::new();
    let mut left = Vec::new();
    for event in events {
        match advice(event) {
            Advice::Add(list, element) => lists.entry(list).or_default().entry(element).or_default().push(comment(event)),
            Advice::Leave(lift) => left.push(format!("{}\n  //     {lift}", comment(event))),
        }
    }
    if let Some(domains) = lists.get_mut(&ALLOWED_DOMAINS) {
        drop_covered(domains);
    }
    render(&lists, &left)
}

fn advice(event: &Event) -> Advice {
    let rule = event.rule.id.as_str();
    let added = match event.kind {
        Kind::NetConnect | Kind::NetDns | Kind::NetHttp if rule == "net.default" => domain(&event.target),
        Kind::FsWrite if rule == "fs.default-write" => path(&event.target).map(|path| (ALLOW_WRITE, path)),
        Kind::UnixConnect if rule.ends_with("default") => path(&event.target).map(|path| (ALLOW_UNIX_SOCKETS, path)),
        _ => None,
    };
    added.map_or_else(|| Advice::Leave(lift(event)), |(list, element)| Advice::Add(list, element))
}

/// The entry for a destination, with its port where one was tried.
fn domain(target: &str) -> Option<(List, String)> {
    let entry =
        Target::parse(target).map(|target| target.to_string()).or_else(|_| Host::parse(target).map(|host| host.to_string())).ok()?;
    DomainPattern::parse(&entry, DomainList::Allow).ok()?;
    Some((ALLOWED_DOMAINS, quoted(&entry)))
}

/// The entry for a path. One whose characters would mean more than themselves is an object.
fn path(target: &str) -> Option<String> {
    let plain = target.trim() == target && !target.contains(['*', '?', '[', '$']) && !target.contains("://") && !target.ends_with('/');
    let usable = target.starts_with('/') && !target.chars().any(char::is_control) && !target.contains(char::REPLACEMENT_CHARACTER);
    let element = if plain { quoted(target) } else { format!("{{\"path\": {}, \"literal\": true}}", quoted(target)) };
    usable.then_some(element)
}

/// As JSON. What no eye sees is escaped, so that the entry is what it looks like.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    super::render::escaped(&json)
}

/// In words, why nothing is suggested and what would lift the denial.
fn lift(event: &Event) -> String {
    let (rule, origin) = (sanitise(&event.rule.id), sanitise(&event.rule.origin));
    if let Some(name) = event.rule.id.strip_prefix("fs.protected:") {
        return format!("protected name; \"unprotect\": [{}] lifts it for all its paths", quoted(&sanitise(name)));
    }
    let by = format!("denied by {rule} from {origin}");
    match &event.allow {
        Some(allow) => format!("{by}; to lift it: {}", sanitise(allow)),
        None if event.rule.id == "net.ask" => "denied by a person who was asked".to_owned(),
        None if event.rule.origin.starts_with("built-in") => format!("{by}; no setting lifts it"),
        None => format!("{by}; only a change of that entry lifts it"),
    }
}

/// The event, on one line.
fn comment(event: &Event) -> String {
    let times = if event.count > 1 { format!(", {} times", event.count) } else { String::new() };
    let process = event.process.as_ref().map(|process| format!(" by {}", sanitise(&process.comm))).unwrap_or_default();
    format!("{}{process}{times}", event.line())
}

/// A name that was looked up and then connected to needs the entry with the port only.
fn drop_covered(domains: &mut Elements) {
    let with_port: Vec<String> =
        domains.keys().filter_map(|entry| entry.trim_matches('"').rsplit_once(':').map(|(host, _)| host.to_owned())).collect();
    domains.retain(|entry, _| !with_port.iter().any(|host| entry.trim_matches('"') == host));
}

fn render(lists: &BTreeMap<List, Elements>, left: &[String]) -> String {
    let mut out = "{\n".to_owned();
    let mut tables: BTreeMap<&str, Vec<(&str, &Elements)>> = BTreeMap::new();
    for ((table, key), elements) in lists {
        tables.entry(table).or_default().push((key, elements));
    }
    // Writing to a String cannot fail.
    for (table, keys) in tables {
        let _ = writeln!(out, "  \"{table}\": {{");
        for (key, elements) in keys {
            let _ = writeln!(out, "    \"{key}\": [");
            for (element, comments) in elements {
                out.extend(comments.iter().map(|comment| format!("      // {comment}\n")));
                let _ = writeln!(out, "      {element},");
            }
            out.push_str("    ],\n");
        }
        out.push_str("  },\n");
    }
    if !left.is_empty() {
        out.push_str("  // Not suggested:\n");
        out.extend(left.iter().map(|line| format!("  //   {line}\n")));
    }
    out + "}\n"
}

#[cfg(test)]
mod tests {
    use super::super::testing::event;
    use super::*;

    fn write(target: &str, rule: &str) -> Event {
        let mut event = event(target);
        (event.kind, event.operation, event.allow) = (Kind::FsWrite, "openat".into(), None);
        event.rule.id = rule.into();
        event
    }

    /// The fragment as the settings reader sees it.
    fn read(events: &[Event]) -> serde_json::Value {
        let text = suggest(events);
        let settings = crate::settings::parse_text("suggestion", &text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        serde_json::json!({
            "domains": settings.network.allowed_domains.iter().map(|entry| entry.value.clone()).collect::<Vec<_>>(),
            "write": settings.filesystem.allow_write.iter().map(|entry| (entry.value.text.clone(), entry.value.literal)).collect::<Vec<_>>(),
        })
    }

    #[test]
    fn each_thing_is_suggested_once_and_as_it_was_tried() {
        let mut name = event("example.com");
        name.kind = Kind::NetDns;
        let events = [
            event("example.com:443"),
            event("example.com:443"),
            name,
            write("/w/a", "fs.default-write"),
            write("/w/b", "fs.default-write"),
            write("/w/[x]", "fs.default-write"),
        ];
        let expected = serde_json::json!({"domains": ["example.com:443"], "write": [["/w/[x]", true], ["/w/a", false], ["/w/b", false]]});
        assert_eq!(sorted(read(&events)), sorted(expected));
    }

    fn sorted(mut value: serde_json::Value) -> serde_json::Value {
        for list in value.as_object_mut().unwrap().values_mut() {
            list.as_array_mut().unwrap().sort_by_key(ToString::to_string);
        }
        value
    }

    #[test]
    fn what_was_denied_by_name_is_listed_and_not_suggested() {
        let mut denied = event("ads.example.com:443");
        (denied.rule.id, denied.rule.origin, denied.allow) = ("net.deny.0".into(), "s.json:3:5".into(), None);
        let events = [denied, write("/w/.bashrc", "fs.protected:.bashrc"), write("/w/x", "fs.deny-write.1")];
        assert_eq!(read(&events), serde_json::json!({"domains": [], "write": []}));
        let text = suggest(&events);
        assert!(text.contains("\"unprotect\": [\".bashrc\"]") && text.contains("net.deny.0 from s.json:3:5"), "{text}");
    }

    #[test]
    fn hostile_targets_cannot_leave_their_comment_or_their_string() {
        for target in ["/w/\"],\n\"denyRead\":[", "/w/*/\n}", "/w/\u{202e}x", "/w/ ", "x\n\"*\":443", "/w/\u{fffd}", "relative"] {
            let (net, file) = (event(target), write(target, "fs.default-write"));
            let found = read(&[net, file]);
            assert_eq!(found["domains"], serde_json::json!([]), "{target:?}");
            for entry in found["write"].as_array().unwrap() {
                assert_eq!(entry[0], target, "{target:?}");
            }
        }
    }
}

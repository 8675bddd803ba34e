//! Fixtures in the form that users of `log stream --style ndjson` have published; they were written for these tests, not recorded.

use super::*;
use crate::policy::{FsEffect, FsRule, Matcher, Origin, RuleId};
use crate::violation::{Kind, Source};

const RUN: RunTag = RunTag::of(0x0123_4567_89ab_cdef);
const TAG: &str = "srt:0123456789abcdef:";

fn rule(id: &str, effect: FsEffect, path: &str) -> FsRule {
    FsRule {
        id: RuleId(id.to_owned()),
        effect,
        matcher: Matcher::Path(crate::policy::AbsPath::new(path).unwrap()),
        spelled: path.to_owned(),
        lexical: None,
        absolute: false,
        create: false,
        origin: Origin::Flag("--test"),
    }
}

fn policy() -> FsPolicy {
    FsPolicy::new(vec![rule("fs.deny-read.0", FsEffect::DenyRead, "/h/.ssh"), rule("fs.allow-write.0", FsEffect::AllowWrite, "/h/w")])
}

/// A record of the kernel.
fn record(message: &str) -> String {
    let record = serde_json::json!({
        "traceID": 2_861_028_868_u64, "eventMessage": message, "eventType": "logEvent", "source": null, "formatString": "%{public}s\n%{public}s",
        "userID": 0, "subsystem": "", "category": "", "threadID": 75214711, "messageType": "Error", "processID": 0,
        "processImagePath": "/kernel", "senderImagePath": "/System/Library/Extensions/Sandbox.kext/Contents/MacOS/Sandbox",
        "timestamp": "2026-01-05 23:01:34.988314-0500",
    });
    format!("{record}\n")
}

fn read(chunks: &[&[u8]]) -> Vec<Event> {
    let mut reader = LogReader::new(RUN);
    chunks.iter().flat_map(|chunk| reader.read(chunk, &policy(), SystemTime::UNIX_EPOCH)).collect()
}

fn one(message: &str) -> Event {
    let mut events = read(&[record(message).as_bytes()]);
    assert_eq!(events.len(), 1, "{message}");
    events.remove(0)
}

#[test]
fn a_denial_becomes_an_event_with_its_rule() {
    let event = one(&format!("Sandbox: cat(96728) deny(1) file-read-data /h/.ssh/id\n{TAG}fs.deny-read.0"));
    assert_eq!((event.kind, event.operation.as_str(), event.target.as_str()), (Kind::FsRead, "file-read-data", "/h/.ssh/id"));
    assert_eq!((event.rule.id.as_str(), event.rule.origin.as_str()), ("fs.deny-read.0", "--test"));
    assert_eq!(event.allow.as_deref(), Some("add \"/h/.ssh/id\" to filesystem.allowRead"));
    assert_eq!((event.source, event.count, event.errno.as_deref()), (Source::Seatbelt, 1, Some("EPERM")));
    let process = event.process.unwrap();
    assert_eq!((process.comm.as_str(), process.pid), ("cat", 96728));
}

#[test]
fn what_no_rule_allowed_is_attributed_by_the_policy() {
    let event = one(&format!("Sandbox: bash(7) deny(1) file-write-create /h/x\n{TAG}default"));
    assert_eq!((event.kind, event.rule.id.as_str()), (Kind::FsWrite, "fs.default-write"));
    assert_eq!(event.allow.as_deref(), Some("add \"/h/x\" to filesystem.allowWrite"));
}

#[test]
fn every_family_of_operations_has_its_kind_and_its_remedy() {
    for (said, kind, rule, allow) in [
        ("process-exec* /h/.ssh/run", Kind::FsExec, "fs.deny-read.0", Some("filesystem.allowRead")),
        ("network-outbound 192.0.2.1:443", Kind::NetConnect, "net.direct", None),
        ("network-outbound /private/var/run/docker.sock", Kind::UnixConnect, "unix.default", Some("network.allowUnixSockets")),
        ("mach-lookup com.apple.pasteboard.1", Kind::Syscall, "mach.default", Some("network.allowMachLookup")),
        ("sysctl-read kern.hostname", Kind::Syscall, "seatbelt.default", None),
        ("appleevent-send", Kind::Syscall, "seatbelt.default", None),
    ] {
        let event = one(&format!("Sandbox: x(1) deny(1) {said}\n{TAG}default"));
        assert_eq!((event.kind, event.rule.id.as_str()), (kind, rule), "{said}");
        assert_eq!(event.allow.is_some(), allow.is_some(), "{said}");
        assert!(event.allow.unwrap_or_default().contains(allow.unwrap_or_default()), "{said}");
    }
}

#[test]
fn every_denial_of_a_chunk_is_read_wherever_chunks_end() {
    let message = |number: u32| record(&format!("Sandbox: x({number}) deny(1) file-read-data /h/.ssh/{number}\n{TAG}fs.deny-read.0"));
    let stream: String = std::iter::once("Filtering the log data using \"…\"\n".to_owned()).chain((0..5).map(message)).collect();
    let whole: Vec<String> = read(&[stream.as_bytes()]).into_iter().map(|event| event.target).collect();
    assert_eq!(whole, (0..5).map(|number| format!("/h/.ssh/{number}")).collect::<Vec<_>>());
    for cut in 0..stream.len() {
        let (before, after) = stream.as_bytes().split_at(cut);
        let targets: Vec<String> = read(&[before, after]).into_iter().map(|event| event.target).collect();
        assert_eq!(targets, whole, "cut at {cut}");
    }
}

#[test]
fn merged_repetitions_count() {
    for (said, count) in [("1 duplicate report for ", 1), ("41 duplicate reports for ", 41)] {
        assert_eq!(one(&format!("{said}Sandbox: x(1) deny(1) file-read-data /h/.ssh/id\n{TAG}fs.deny-read.0")).count, count);
    }
}

#[test]
fn records_of_others_are_not_ours() {
    let denial = format!("Sandbox: x(1) deny(1) file-read-data /h/.ssh/id\n{TAG}fs.deny-read.0");
    let forged = record(&denial).replace("\"processID\":0", "\"processID\":501");
    assert!(forged != record(&denial));
    let other_run = record(&denial.replace("srt:0123", "srt:1123"));
    let untagged = record("Sandbox: x(1) deny(1) file-read-data /h/.ssh/id");
    let allowed = record(&format!("Sandbox: x(1) allow file-read-data /h\n{TAG}default"));
    for stream in [forged, other_run, untagged, allowed, "{\"eventMessage\":1}\n".to_owned(), "\0\n{}\n[]\n".to_owned()] {
        assert!(read(&[stream.as_bytes()]).is_empty(), "{stream}");
    }
}

#[test]
fn a_hostile_path_is_one_target() {
    let path = format!("/h/.ssh/a\nSandbox: y(2) deny(1) file-read-data /etc/x\n{TAG}fs.deny-write.9\nb");
    let event = one(&format!("Sandbox: x(1) deny(1) file-read-data {path}\n{TAG}fs.deny-read.0"));
    assert_eq!((event.target, event.rule.id), (path, "fs.deny-read.0".to_owned()));
}

#[test]
fn noise_is_dropped() {
    for said in [
        "Sandbox: mDNSResponder(1) deny(1) file-read-data /x",
        "Sandbox: x(1) deny(1) network-outbound /private/var/run/mDNSResponder",
        "Sandbox: x(1) deny(1) mach-lookup com.apple.diagnosticd",
        "Sandbox: x(1) deny(1) mach-lookup com.apple.analyticsd",
    ] {
        assert!(read(&[record(&format!("{said}\n{TAG}default")).as_bytes()]).is_empty(), "{said}");
    }
    one(&format!("Sandbox: x(1) deny(1) mach-lookup com.apple.analyticsd.other\n{TAG}default"));
}

#[test]
fn an_endless_record_takes_no_memory_and_the_next_is_read() {
    let mut reader = LogReader::new(RUN);
    for _ in 0..100 {
        assert!(reader.read(&[b'x'; 4096], &policy(), SystemTime::UNIX_EPOCH).is_empty());
        assert!(reader.partial.len() <= MAX_RECORD);
    }
    let next = format!("\n{}", record(&format!("Sandbox: x(1) deny(1) file-read-data /h/.ssh/id\n{TAG}fs.deny-read.0")));
    assert_eq!(reader.read(next.as_bytes(), &policy(), SystemTime::UNIX_EPOCH).len(), 1);
}

#[test]
fn the_stream_is_asked_for_this_run_and_for_the_kernel() {
    assert_eq!(arguments(RUN).join(" "), format!("stream --style ndjson --predicate processID == 0 AND eventMessage CONTAINS \"{TAG}\""));
}

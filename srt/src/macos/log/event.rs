//! A denial of Seatbelt as an event.

use std::time::SystemTime;

use super::record::Record;
use crate::macos::seatbelt::DEFAULT_RULE;
use crate::policy::{AbsPath, Access, FsPolicy, FsRule};
use crate::violation::{Event, Kind, Process, RuleRef, Source, file_advice, file_reason};

/// The event of one record. The rule is the one that the message names; where no rule allowed it, the policy is asked which.
pub(super) fn event(record: Record, files: &FsPolicy, now: SystemTime) -> Event {
    let kind = kind(&record);
    let found = file_rule(&record, kind, files);
    let (rule, reason) = match found {
        Some(rule) => (RuleRef { id: rule.id.to_string(), origin: rule.origin.to_string() }, file_reason(rule).to_owned()),
        None => beside_files(&record, kind),
    };
    let allow = match kind {
        Kind::FsRead | Kind::FsWrite | Kind::FsExec => file_advice(kind, &record.target, found),
        Kind::UnixConnect => Some(format!("add {:?} to network.allowUnixSockets", record.target)),
        _ if record.operation == "mach-lookup" => Some(format!("add {:?} to network.allowMachLookup", record.target)),
        _ => None,
    };
    Event {
        v: 1,
        time: now,
        kind,
        operation: record.operation,
        target: record.target,
        errno: Some("EPERM".into()),
        // The log knows no more of it.
        process: Some(Process { pid: record.pid, ppid: 0, exe: String::new(), comm: record.command, argv: Vec::new() }),
        rule,
        reason,
        allow,
        source: Source::Seatbelt,
        count: record.count,
    }
}

fn kind(record: &Record) -> Kind {
    let path = record.target.starts_with('/');
    match record.operation.as_str() {
        operation if operation.starts_with("file-read") => Kind::FsRead,
        operation if operation.starts_with("process-exec") => Kind::FsExec,
        operation if operation.starts_with("file-") && operation != "file-ioctl" => Kind::FsWrite,
        "network-outbound" | "network-bind" if path => Kind::UnixConnect,
        operation if operation.starts_with("network-") => Kind::NetConnect,
        _ => Kind::Syscall,
    }
}

fn file_rule<'a>(record: &Record, kind: Kind, files: &'a FsPolicy) -> Option<&'a FsRule> {
    let access = match kind {
        Kind::FsRead | Kind::FsExec => Access::Read,
        Kind::FsWrite => Access::Write,
        _ => return None,
    };
    let decided = || {
        let verdict = files.decide(&AbsPath::new(&record.target)?, access);
        (!verdict.allowed).then_some(verdict.rule)
    };
    if record.rule == DEFAULT_RULE { decided() } else { files.rule_named(&record.rule) }
}

/// The rule and the reason where the policy on files has no say.
fn beside_files(record: &Record, kind: Kind) -> (RuleRef, String) {
    let (id, reason) = match kind {
        Kind::NetConnect => ("net.direct", "connections leave through the proxy only"),
        Kind::UnixConnect => ("unix.default", "the socket is not on the list"),
        _ if record.operation == "mach-lookup" => ("mach.default", "the service is not on the list"),
        _ => ("seatbelt.default", "no rule of the profile allows it"),
    };
    (RuleRef { id: id.to_owned(), origin: "built-in rule".to_owned() }, reason.to_owned())
}

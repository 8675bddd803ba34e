//! Calls that the broker refused, as events.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::SystemTime;

use crate::backend::{Denied, DeniedTarget, call_name};
use crate::policy::{FsPolicy, FsRule};
use crate::violation::{Event, Kind, Process, RuleRef, Source, file_advice, file_reason};

/// The event of one refused call. The rule's origin is looked up by its name; `policy` may be newer than the refusal.
pub(super) fn event(denied: &Denied, policy: &FsPolicy, process: Option<Process>) -> Event {
    let rule = policy.rule_named(&denied.rule);
    let text = |path: &[u8]| OsStr::from_bytes(path).to_string_lossy().into_owned();
    let (kind, target) = match &denied.target {
        DeniedTarget::Write(path) => (Kind::FsWrite, text(path)),
        DeniedTarget::Read(path) => (Kind::FsRead, text(path)),
        DeniedTarget::Socket(path) => (Kind::UnixConnect, text(path)),
        DeniedTarget::Call(arguments) => (Kind::Syscall, call_text(denied.call, arguments)),
    };
    Event {
        v: 1,
        time: SystemTime::now(),
        kind,
        operation: call_name(denied.call),
        errno: Some(errno_name(denied.errno)),
        process,
        rule: RuleRef { id: denied.rule.clone(), origin: rule.map_or_else(|| "built-in rule".to_owned(), |rule| rule.origin.to_string()) },
        reason: reason(denied, rule).to_owned(),
        allow: allow(kind, &target, rule),
        target,
        source: Source::Broker,
        count: 1,
    }
}

fn reason(denied: &Denied, rule: Option<&FsRule>) -> &'static str {
    match (rule, &denied.target) {
        (Some(rule), _) => file_reason(rule),
        (None, DeniedTarget::Socket(_)) => "the socket is not on the list",
        (None, DeniedTarget::Call(_)) if denied.rule == "syscall.set-id" => "a set-id file would be root's",
        (None, DeniedTarget::Call(_)) if denied.rule == "syscall.other-process" => "the process is not one of the sandbox",
        (None, DeniedTarget::Call(_)) if denied.rule.starts_with("net.") => {
            "servers listen on the loopback alone, where the network is the host's"
        }
        (None, DeniedTarget::Call(_)) => "the system-call filter refuses it",
        (None, _) if denied.rule == "unix.listed-name" => "a socket of the host would get the name of a listed one",
        (None, _) => "entries of other processes are not served",
    }
}

/// The line of settings that would allow it.
fn allow(kind: Kind, target: &str, rule: Option<&FsRule>) -> Option<String> {
    match (kind, file_advice(kind, target, rule)) {
        (_, Some(advice)) => Some(advice),
        (Kind::UnixConnect, None) => Some(format!("add {target:?} to network.allowUnixSockets")),
        _ => None,
    }
}

/// The call with the arguments that the filter may have looked at.
fn call_text(call: libc::c_long, arguments: &[u64; 3]) -> String {
    let [a, b, c] = arguments;
    format!("{}({a:#x}, {b:#x}, {c:#x})", call_name(call))
}

/// The name of an errno.
fn errno_name(errno: i32) -> Cow<'static, str> {
    format!("{:?}", nix::errno::Errno::from_raw(errno)).into()
}

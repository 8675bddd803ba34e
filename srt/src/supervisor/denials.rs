//! Calls that the broker refused, as events.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::SystemTime;

use crate::backend::{Denied, DeniedTarget, call_name};
use crate::policy::{FsEffect, FsPolicy, FsRule, Matcher};
use crate::violation::{Event, Kind, Process, RuleRef, Source};

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
    match (rule.map(|rule| (rule.effect, &rule.matcher)), &denied.target) {
        (Some((FsEffect::DenyRead, _)), _) => "reading is denied there",
        (Some((_, Matcher::Protected(name))), _) => name.reason,
        (Some(_), _) if denied.rule == "fs.default-write" => "it lies outside allowWrite",
        (Some(_), _) => "writing is denied there",
        (None, DeniedTarget::Socket(_)) => "the socket is not on the list",
        (None, DeniedTarget::Call(_)) if denied.rule == "syscall.set-id" => "a set-id file would be root's",
        (None, DeniedTarget::Call(_)) => "the system-call filter refuses it",
        (None, _) if denied.rule == "unix.listed-name" => "a socket of the host would get the name of a listed one",
        (None, _) => "entries of other processes are not served",
    }
}

/// The line of settings that would allow it. A denial that the user wrote is not to be worked around.
fn allow(kind: Kind, target: &str, rule: Option<&FsRule>) -> Option<String> {
    match (kind, rule) {
        (_, Some(FsRule { matcher: Matcher::Protected(name), .. })) => Some(format!("add {:?} to unprotect", name.name)),
        (Kind::FsWrite, Some(rule)) if rule.id.0 == "fs.default-write" => Some(format!("add {target:?} to filesystem.allowWrite")),
        (Kind::FsRead | Kind::FsWrite, Some(rule)) if rule.effect == FsEffect::DenyRead && !rule.absolute => {
            Some(format!("add {target:?} to filesystem.allowRead"))
        }
        (Kind::UnixConnect, _) => Some(format!("add {target:?} to network.allowUnixSockets")),
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

//! What is done in place of the calls of macOS, and the way of a run with them.

use std::ffi::{CStr, OsString};
use std::io;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit};
use srt::host::{self, Facts, HostLookup, Platform};
use srt::macos::{self, Os, Tree, Way, descendants};
use srt::plan::{self, Support};
use srt::supervisor::{self, Ways};
use srt::violation::EventSink;
use srt::{Fault, Faults, backend, policy, settings};

/// Runs the command; the exit status.
pub(crate) fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().skip(1).collect();
    run(argv).unwrap_or_else(|faults| {
        eprintln!("srt: {faults}");
        ExitCode::from(125)
    })
}

fn run(argv: Vec<OsString>) -> Result<ExitCode, Faults> {
    // The standard library has set it to be ignored before this began.
    let command = backend::Command { argv, pass_fds: Vec::new(), ignore_sigpipe: false };
    macos::close_inherited(&[])?;
    let facts = Facts { platform: Platform::MacOs, ..host::gather(None)? };
    let settings = settings::parse_text("settings", &std::env::var("AS_MACOS_SETTINGS").unwrap_or_else(|_| "{}".to_owned()))?;
    let refused = |faults| Faults::new(faults).unwrap_or_else(|| Fault::new("use the settings", "no reason").into());
    let policy = policy::resolve(&settings, &facts, &HostLookup).map_err(refused)?;
    let plan = plan::build(&policy, &Support::elsewhere()).map_err(|gaps| Fault::new("make a plan", format!("{gaps:?}")))?;
    let armed = macos::arm_for(calls(), macos::compile(&plan, &policy, &command, &facts)?)?;
    let running = macos::spawn_with(armed)?;
    let sink = EventSink::default();
    let end = supervisor::macos::run(running, policy, sink.clone(), Ways::default());
    end.remarks.iter().chain(&end.fault).for_each(|fault| eprintln!("srt: {fault}"));
    sink.snapshot().events.iter().for_each(|event| eprintln!("event {:?} {}", event.source, event.line()));
    Ok(ExitCode::from(end.outcome.exit_code()))
}

fn calls() -> Os {
    let way = match std::env::var_os("AS_MACOS_CONFINER") {
        Some(program) => Way::Program(program.into()),
        None => Way::Call(Box::new(mark)),
    };
    let log = std::env::var_os("AS_MACOS_LOG").unwrap_or_else(|| "/nowhere/log".into());
    Os { way, members: Box::new(members), log: log.into(), threads }
}

fn threads() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Stands for confinement. A profile that says `(refuse me)` is refused, as the library refuses what it cannot read.
fn mark(profile: &CStr) -> Result<(), String> {
    let profile = profile.to_string_lossy();
    if profile.contains("refuse-me") {
        return Err("line 1: unbound variable: refuse-me".to_owned());
    }
    let (_, rest) = profile.split_once("(global-name \"srt.run.").ok_or("the profile has no mark")?;
    let (name, _) = rest.split_once('"').ok_or("the mark has no end")?;
    let limit = Some(number(&format!("srt.run.{name}")));
    rustix::process::setrlimit(Resource::Msgqueue, Rlimit { current: limit, maximum: limit }).map_err(|errno| errno.to_string())
}

/// Below what every system gives (819200), so that anybody may set it.
fn number(service: &str) -> u64 {
    let digits = service.rsplit('.').next().unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or(0) % 800_000
}

fn members(tree: &Tree) -> Vec<i32> {
    let wanted = number(&tree.run.service()).to_string();
    let all: Vec<i32> =
        std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let parents: Vec<(i32, i32)> = all.iter().filter_map(|id| Some((*id, parent(*id)?))).collect();
    let mut found: Vec<i32> =
        tree.command.into_iter().chain(tree.command.into_iter().flat_map(|command| descendants(&parents, command))).collect();
    found.extend(all.into_iter().filter(|id| limit(*id).as_deref() == Some(&wanted)));
    found.retain(|id| parent(*id).is_some());
    found
}

/// The soft limit on message queues.
fn limit(id: i32) -> Option<String> {
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max msgqueue size"))?;
    line.split_whitespace().next().map(str::to_owned)
}

/// The parent of a process that lives; a zombie does not.
fn parent(id: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" { None } else { fields.next()?.parse().ok() }
}

//! `srt run`: the whole way, in order.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::args::{Options, Typed, Violations};
use super::message::{self, Error};
use super::{prepare, ways};
use crate::backend::{self, Command};
use crate::host::{Facts, HostLookup};
use crate::policy::{AbsPath, Access, PathLookup as _};
use crate::supervisor::{self, Ways};
use crate::violation::{self, EventSink, IgnoreRules, Report, Run, Store};
use crate::{Fault, Faults};

/// Runs a command; returns the exit status.
pub(super) fn run(options: &Options, typed: Typed) -> Result<u8, Error> {
    // Writing to a reader that is gone is an error for srt, and no reason to die; the command has what the caller had.
    let ignore_sigpipe = backend::ignore_sigpipe();
    let decided = prepare::decide(options)?;
    let mut ways = ways::open(options, &decided)?;
    // The settings may have come through a descriptor; from here on, only what was named stays open.
    backend::close_inherited(&[&options.pass_fds[..], &ways::descriptors(&ways)].concat())?;
    let command = Command { argv: argv(typed, &decided.facts), pass_fds: options.pass_fds.clone(), ignore_sigpipe };
    let (plan, support) = prepare::plan(options, &decided)?;
    say_gaps(&plan);
    let text = command.argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    ways.reports = ways::reports(&plan, &support, &decided, &text);
    let sink = sink(&decided, &text)?;
    let log = options.violations_file.as_deref().map(|path| open_log(path, &decided)).transpose()?;
    let store = decided.policy.state.clone().map(|state| Store::new(state.join(violation::STORE)));
    let record = Run::new(&text, &decided.facts.cwd).map_err(|error| Fault::os("name the run", error))?;

    let script = backend::compile(&plan, &decided.policy, &command, &decided.facts)?;
    for step in &plan.files.steps {
        tracing::debug!("plan: {} {:?} by {} ({})", step.path, step.action, step.rule, step.origin);
    }
    let armed = backend::arm(script)?;
    let running = backend::spawn(armed)?;
    let ways = Ways { run: Some(record.clone()), ..ways };
    let end = supervisor::run(running, decided.policy, sink.clone(), ways);

    tracing::debug!("run: {:?}", end.outcome);
    for fault in end.remarks.iter().chain(&end.fault) {
        message::print_fault(fault);
    }
    let report = sink.snapshot();
    show(&report, options, log);
    keep(store, record, report);
    Ok(end.outcome.exit_code())
}

fn sink(decided: &prepare::Decided, command: &str) -> Result<EventSink, Error> {
    let ignore = IgnoreRules::build(&decided.policy.ignore_violations, command).map_err(|faults| Faults::new(faults).map(Error::from));
    Ok(EventSink::new(ignore.map_err(|error| error.unwrap_or_else(|| Fault::new("use ignoreViolations", "it was refused").into()))?))
}

/// For `srt violations`. That it cannot be kept is no fault of the run, which has ended as it did.
fn keep(store: Option<Store>, record: Run, report: Report) {
    if let Some(Err(error)) = store.map(|store| store.add(record, report)) {
        tracing::debug!("violations: not kept: {error}");
    }
}

/// Shell text is run by bash where there is one, as existing users expect, else by sh.
fn argv(typed: Typed, facts: &Facts) -> Vec<OsString> {
    match typed {
        Typed::Words(words) => words,
        Typed::Shell(text) => vec![shell(facts), "-c".into(), text],
    }
}

fn shell(facts: &Facts) -> OsString {
    let path = facts.var("PATH").unwrap_or(OsStr::new("/bin:/usr/bin"));
    let found = std::env::split_paths(path).map(|directory| directory.join("bash")).find(|candidate| candidate.is_file());
    found.map_or_else(|| OsString::from("/bin/sh"), OsString::from)
}

/// Accepted gaps are said: whoever reads the output should know what did not hold.
fn say_gaps(plan: &crate::plan::Plan) {
    for gap in &plan.gaps {
        if gap.acceptable {
            message::say(&format!("runs without {}: {}", gap.name, gap.loss));
        } else {
            tracing::debug!("plan: runs without {}: {}", gap.name, gap.loss);
        }
    }
}

/// Opened before the command runs: a log that cannot be written is an error then, not afterwards.
fn open_log(path: &Path, decided: &prepare::Decided) -> Result<File, Fault> {
    let fault = |cause: String| Fault::new(format!("write violations to {}", path.display()), cause);
    let asked = AbsPath::resolve(&decided.facts.cwd, path);
    let real = HostLookup.real_path(&asked).map_err(|error| fault(crate::fault::errno_text(&error)))?;
    // Where the command may write, it may have put a link for this run to follow.
    let writable = |path: &AbsPath| decided.policy.files.decide(path, Access::Write).allowed;
    if [&asked, &real.path].into_iter().chain(&real.links).any(writable) {
        return Err(fault("the command may write there".to_owned()).hint("name a file outside the write roots"));
    }
    File::create(&real.path).map_err(|error| fault(crate::fault::errno_text(&error)))
}

fn show(report: &Report, options: &Options, log: Option<File>) {
    let written = log.map_or(Ok(()), |mut file| json_lines(report, &mut file));
    if let Err(error) = written {
        message::say(&format!("cannot write violations: {error}"));
    }
    let mut stderr = io::stderr().lock();
    // Where stderr is closed there is nobody to tell.
    let _ = match options.violations {
        Violations::Off => Ok(()),
        Violations::Json => json_lines(report, &mut stderr),
        Violations::Summary | Violations::Live => violation::summary(&report.events, report.dropped, &mut stderr),
    };
}

fn json_lines(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for event in &report.events {
        writeln!(out, "{}", event.json_line()?)?;
    }
    Ok(())
}

//! `srt check`: one question to the policy, answered by the functions that enforce it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;

use super::args::Options;
use super::message::Error;
use super::prepare::{self, Decided};
use crate::Fault;
use crate::host::HostLookup;
use crate::plan;
use crate::policy::{AbsPath, Access, PathLookup as _, Target};

/// Prints the verdict with its rule and origin; 0 allowed, 1 denied.
pub(super) fn check(options: &Options, access: &str, target: &OsStr) -> Result<u8, Error> {
    let decided = prepare::decide(options)?;
    let (allowed, text) = match access {
        "connect" => connect(&decided, target)?,
        "write" => file(options, &decided, target, Access::Write)?,
        _ => file(options, &decided, target, Access::Read)?,
    };
    let word = if allowed { "allowed" } else { "denied" };
    let _ = writeln!(std::io::stdout().lock(), "{word}: {access} {text}");
    Ok(u8::from(!allowed))
}

fn file(options: &Options, decided: &Decided, target: &OsStr, access: Access) -> Result<(bool, String), Fault> {
    let facts = &decided.facts;
    let expanded = match (target.to_str().and_then(|text| text.strip_prefix("~/")), &facts.home) {
        (Some(below), Some(home)) => home.as_path().join(below),
        _ => Path::new(target).to_owned(),
    };
    let asked = AbsPath::resolve(&facts.cwd, &expanded);
    let real = HostLookup.real_path(&asked).map_err(|error| Fault::os(format!("check {asked}"), error))?.path;
    let verdict = decided.policy.files.decide(&real, access);
    let by_name = prepare::support(options, false).user_notification == plan::Answer::Yes;
    let note = if !verdict.allowed && !plan::holds(&decided.policy, &real, access, by_name) {
        "\n  note: not enforced: the rule is about a name, and nothing holds it for what is made after the run has started"
    } else {
        ""
    };
    let through = if real == asked { String::new() } else { format!(" (through {asked})") };
    Ok((verdict.allowed, format!("{real}{through}\n  by {}\n  from {}{note}", verdict.rule.id, verdict.rule.origin)))
}

fn connect(decided: &Decided, target: &OsStr) -> Result<(bool, String), Fault> {
    let text = target.to_string_lossy();
    let wanted = Target::parse(&text)
        .map_err(|error| Fault::new(format!("check {text:?}"), error).hint("the target is HOST:PORT, for instance example.com:443"))?;
    let verdict = decided.policy.network.decide(&wanted.host, wanted.port);
    Ok((
        verdict.allowed,
        format!("{}:{}\n  by {}\n  from {}\n  because {}", wanted.host, wanted.port, verdict.rule, verdict.origin, verdict.reason),
    ))
}

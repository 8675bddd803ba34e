//! `srt doctor`: what this Mac can do.

use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;

use crate::Fault;
use crate::cli::args::Options;
use crate::cli::message::Error;
use crate::cli::prepare;
use crate::macos::{self, System};
use crate::plan::{Answer, Support};

/// Prints what there is of Seatbelt, what would be used, and the remedy for what is missing. 0 where a run would start, 1 where not.
pub(in crate::cli) fn doctor(options: &Options, json: bool) -> Result<u8, Error> {
    let report = Report { platform: "macos", seatbelt: prepare::support(options, false), system: macos::examine() };
    let text = if json {
        serde_json::to_string_pretty(&report).map_err(|error| Fault::new("print the report", error))? + "\n"
    } else {
        render(&report)
    };
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(u8::from(report.seatbelt.seatbelt != Some(Answer::Yes)))
}

#[derive(Serialize)]
struct Report {
    platform: &'static str,
    #[serde(serialize_with = "answer")]
    seatbelt: Support,
    #[serde(flatten)]
    system: System,
}

/// The other layers are Linux's.
fn answer<S: serde::Serializer>(support: &Support, serializer: S) -> Result<S::Ok, S::Error> {
    support.seatbelt.serialize(serializer)
}

fn render(report: &Report) -> String {
    let System { release, sandbox_init, sandbox_exec, sandbox_check, log_stream } = &report.system;
    let mut out = String::new();
    let release = release.as_ref().map_or_else(|| "unknown".to_owned(), |release| format!("{} ({})", release.version, release.build));
    // Writing to a String cannot fail.
    let _ = writeln!(out, "macos       {release}");
    let _ = match (sandbox_init, sandbox_exec) {
        (true, _) => writeln!(out, "seatbelt    used: sandbox_init_with_parameters"),
        (false, true) => writeln!(out, "seatbelt    used: /usr/bin/sandbox-exec, because sandbox_init_with_parameters is missing"),
        (false, false) => match &report.seatbelt.seatbelt {
            Some(Answer::No(refusal)) => writeln!(out, "seatbelt    missing: {}\n            remedy: {}", refusal.cause, refusal.remedy),
            _ => writeln!(out, "seatbelt    missing"),
        },
    };
    let _ = if *sandbox_check {
        writeln!(out, "processes   found by their sandbox when a run ends")
    } else {
        writeln!(out, "processes   found by their parents when a run ends: sandbox_check is missing, and orphans stay")
    };
    let _ = match log_stream {
        Answer::No(refusal) => writeln!(out, "log         not used: {}\n            remedy: {}", refusal.cause, refusal.remedy),
        Answer::Unknown(why) => writeln!(out, "log         could not tell: {why}"),
        Answer::Yes => writeln!(out, "log         used: denials of Seatbelt are told by /usr/bin/log stream"),
    };
    let _ = writeln!(out, "not on this platform: questions at the terminal, `srt top`, `srt monitor`");
    out
}

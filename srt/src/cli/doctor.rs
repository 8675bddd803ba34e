//! `srt doctor`: what this host can do.

use std::fmt::Write as _;
use std::io::Write as _;

use super::args::Options;
use super::message::Error;
use super::prepare;
use crate::Fault;
use crate::backend;
use crate::plan::{Answer, Support};

/// Prints every layer, what the kernel offers, what would be used, and the remedy for each gap. 0 where a run would start, 1 where not.
pub(super) fn doctor(options: &Options, json: bool) -> Result<u8, Error> {
    let mut support = prepare::support(options, true);
    backend::try_namespaces(&mut support);
    let text = if json {
        serde_json::to_string_pretty(&support).map_err(|error| Fault::new("print the report", error))? + "\n"
    } else {
        render(&support)
    };
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    let fine = [&support.user_namespaces, &support.seccomp, &support.user_notification].iter().all(|answer| **answer == Answer::Yes);
    Ok(u8::from(!fine))
}

fn render(support: &Support) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = layer(&mut out, "namespaces", &support.user_namespaces, "user, mount, pid, network, ipc, uts and cgroup namespaces");
    let _ = layer(&mut out, "seccomp", &support.seccomp, "system-call filter");
    let _ =
        layer(&mut out, "broker", &support.user_notification, "rules on names, UNIX sockets by path, transparent networking, denials told");
    let _ = landlock(&mut out, support);
    let mounts = if support.new_mount_api {
        "open_tree, move_mount, mount_setattr"
    } else {
        "mount(2), because mount_setattr(2) is missing (Linux 5.12)"
    };
    let _ = writeln!(out, "mounts      used: {mounts}");
    out
}

fn layer(out: &mut String, name: &str, answer: &Answer, what: &str) -> std::fmt::Result {
    match answer {
        Answer::Yes => writeln!(out, "{name:<11} used: {what}"),
        Answer::Unknown(why) => writeln!(out, "{name:<11} could not tell: {why}"),
        Answer::No(refusal) => writeln!(out, "{name:<11} missing: {}\n            remedy: {}", refusal.cause, refusal.remedy),
    }
}

fn landlock(out: &mut String, support: &Support) -> std::fmt::Result {
    let scopes = if support.landlock_abi >= 6 {
        "; signals and abstract sockets stay inside"
    } else {
        "; signals to the own process group are filtered"
    };
    match support.landlock_abi {
        0 => writeln!(
            out,
            "landlock    missing: not in this kernel, or off; mounts alone hold the file rules, and FIFOs and sockets outside write roots can be written to\n            remedy: Linux 5.13 with `landlock` in the list of security modules"
        ),
        abi => writeln!(out, "landlock    used: ABI {abi}, errata fixed {:#x}, second layer for files{scopes}", support.landlock_errata),
    }
}

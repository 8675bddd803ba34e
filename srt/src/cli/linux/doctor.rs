//! `srt doctor`: what this host can do.

use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;

use super::service_socket;
use crate::Fault;
use crate::backend::{self, EbpfTrial, Hooks, ServiceTrial};
use crate::cli::args::Options;
use crate::cli::message::Error;
use crate::cli::prepare;
use crate::plan::{Answer, Support};

/// Prints every layer, what the kernel offers, what would be used, and the remedy for each gap. 0 where a run would start, 1 where not.
pub(in crate::cli) fn doctor(options: &Options, json: bool) -> Result<u8, Error> {
    let mut support = prepare::support(options, true);
    backend::try_namespaces(&mut support);
    let ebpf = backend::try_ebpf(&mut support);
    let report = Report { support, ebpf_host: ebpf, monitor_service: backend::try_service(&service_socket()) };
    let text = if json {
        serde_json::to_string_pretty(&report).map_err(|error| Fault::new("print the report", error))? + "\n"
    } else {
        render(&report)
    };
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    let support = &report.support;
    let fine = [&support.user_namespaces, &support.seccomp, &support.user_notification].iter().all(|answer| **answer == Answer::Yes);
    Ok(u8::from(!fine))
}

/// What is known of this host: what a plan would be made from, and what only a trial tells.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    support: Support,
    ebpf_host: EbpfTrial,
    monitor_service: ServiceTrial,
}

fn render(report: &Report) -> String {
    let support = &report.support;
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
    let _ = ebpf(&mut out, &support.ebpf, &report.ebpf_host);
    let _ = monitor(&mut out, &report.monitor_service);
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

/// Not a gap: nothing is enforced by it.
fn ebpf(out: &mut String, answer: &Answer, host: &EbpfTrial) -> std::fmt::Result {
    match (answer, &host.attached) {
        (Answer::No(refusal), _) => writeln!(
            out,
            "ebpf        not used: {}; where violations.reads is set, the broker tells of denied reads, at the cost of every open\n            remedy: {}",
            refusal.cause, refusal.remedy
        )?,
        (Answer::Unknown(why), _) => writeln!(out, "ebpf        could not tell: {why}")?,
        (Answer::Yes, None) => writeln!(out, "ebpf        could not tell: it was not tried")?,
        (Answer::Yes, Some(hooks)) => writeln!(out, "ebpf        used: denied reads told where violations.reads is set, {}", means(hooks))?,
    }
    let word = |yes: bool| if yes { "yes" } else { "no" };
    let unprivileged = host.unprivileged_bpf_disabled.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
    writeln!(
        out,
        "            CAP_BPF {}, CAP_PERFMON {}, types of the kernel (BTF) {}; kernel.unprivileged_bpf_disabled {unprivileged}, which gives these rights to nobody",
        word(host.cap_bpf),
        word(host.cap_perfmon),
        word(host.btf)
    )
}

fn means(hooks: &Hooks) -> String {
    match hooks {
        Hooks::Calls { missing } if missing.is_empty() => "by a hook on each call that is watched".to_owned(),
        Hooks::Calls { missing } => {
            format!("by a hook on each call that is watched; this kernel has no hook on {}, whose denials go untold", missing.join(", "))
        }
        Hooks::EveryCall => {
            "by one hook after every call, because this kernel refuses hooks on single calls: while it is attached, each process of this host pays about 75 ns more a call\n            remedy: a kernel that has them (Linux 5.5, with CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)"
                .to_owned()
        }
    }
}

fn monitor(out: &mut String, service: &ServiceTrial) -> std::fmt::Result {
    let socket = service.socket.display();
    match (&service.listens, service.listener) {
        (Answer::No(refusal), _) => writeln!(out, "monitor     not used: {}\n            remedy: {}", refusal.cause, refusal.remedy),
        (_, Some(listener)) => {
            writeln!(out, "monitor     found: a service listens at {socket} (process {}, uid {})", listener.pid, listener.uid)
        }
        (_, None) => writeln!(out, "monitor     could not tell: nobody is known at {socket}"),
    }
}

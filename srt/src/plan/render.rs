//! The plan as text, for people.

use std::fmt::{self, Write as _};

use super::{FileAction, Plan};

/// What `srt explain` prints.
pub fn render(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_plan(plan, &mut out);
    out
}

fn write_plan(plan: &Plan, out: &mut String) -> fmt::Result {
    writeln!(out, "files")?;
    for step in &plan.files.steps {
        writeln!(out, "  {:<10} {}", word(&step.action), step.path)?;
        writeln!(out, "             {} ({})", step.rule, step.origin)?;
    }
    for path in &plan.files.make {
        writeln!(out, "  {:<10} {path} (removed at the end where it is still empty)", "made")?;
    }
    writeln!(out, "  {:<10} {} (removed at the end)", "TMPDIR", plan.files.private_tmp)?;
    writeln!(out, "network")?;
    match plan.layers.namespaces {
        true => writeln!(out, "  own namespace; proxy on 127.0.0.1:{} inside", plan.network.proxy_port)?,
        false => writeln!(out, "  the host's; the broker leads connections to 127.0.0.1:{} to the proxy", plan.network.proxy_port)?,
    }
    let sockets = match (plan.network.unix_sockets, plan.layers.user_notification) {
        (true, _) => "allowed",
        (false, true) => "denied, but the command's own and those that are listed",
        (false, false) => "denied",
    };
    writeln!(out, "  UNIX sockets {sockets}")?;
    if plan.network.transparent {
        writeln!(out, "  names answered inside; connections to any address led to the host that was meant")?;
    }
    for port in &plan.network.allow_host_ports {
        writeln!(out, "  port {port} of the loopback is the host's")?;
    }
    for port in &plan.network.publish_ports {
        writeln!(out, "  port {port} of the host's loopback is the sandbox's")?;
    }
    writeln!(out, "layers")?;
    let scopes = if plan.layers.landlock_scopes { ", signals and abstract sockets kept inside" } else { "" };
    let namespaces = if plan.layers.namespaces { "namespaces" } else { "no namespaces" };
    match plan.layers.landlock_abi {
        0 => writeln!(out, "  {namespaces}, seccomp; no Landlock")?,
        abi => writeln!(out, "  {namespaces}, seccomp, Landlock ABI {abi}{scopes}")?,
    }
    if !plan.layers.namespaces {
        writeln!(out, "  nothing is mounted: what is hidden or read-only above is held by name")?;
    }
    let names = if plan.layers.user_notification { "names are judged by the broker" } else { "no broker: objects only" };
    writeln!(out, "  {names}")?;
    writeln!(out, "environment")?;
    for (name, value) in &plan.environment.set {
        writeln!(out, "  {name}={}", value.to_string_lossy())?;
    }
    for name in &plan.environment.unset {
        writeln!(out, "  {name} removed")?;
    }
    for gap in &plan.gaps {
        writeln!(out, "gap {}: {}", gap.name, gap.loss)?;
    }
    Ok(())
}

fn word(action: &FileAction) -> &'static str {
    match action {
        FileAction::ReadOnly => "read-only",
        FileAction::Writable => "writable",
        FileAction::Pinned => "pinned",
        FileAction::HiddenFile | FileAction::HiddenDirectory => "hidden",
        FileAction::Passage(_) => "passage",
    }
}

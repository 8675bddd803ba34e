//! Everything that must hold before a change is merged.

use std::process::Command;

use crate::ebpf;
use crate::suite::{self, Counts};

/// A stage that is one command, and counts as one test.
struct Stage {
    name: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

const STAGES: &[Stage] = &[
    Stage { name: "formatting", arguments: &["fmt", "--all", "--check"], environment: &[] },
    Stage { name: "lints", arguments: &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"], environment: &[] },
    Stage {
        name: "documentation",
        arguments: &["doc", "--quiet", "--workspace", "--no-deps"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
];

/// Runs every stage even when one fails.
pub(crate) fn run() -> Result<Counts, String> {
    let mut counts = Counts::default();
    for stage in STAGES {
        eprintln!("check: {}", stage.name);
        let status = Command::new(suite::cargo()).args(stage.arguments).envs(stage.environment.iter().copied()).status();
        match status.map_err(|error| format!("cannot run cargo: {error}"))?.success() {
            true => counts.passed += 1,
            false => counts.fail(stage.name),
        }
    }
    eprintln!("check: kernel program");
    counts.add(ebpf::check()?);
    eprintln!("check: tests");
    counts.add(suite::run(&[])?);
    Ok(counts)
}

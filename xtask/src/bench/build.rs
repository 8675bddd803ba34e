//! `cargo build` of a small crate and `git clone` of a local repository.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use super::side::{Bench, Side};
use super::start::print;
use super::table::heading;

pub(super) fn run(bench: &Bench) -> Result<(), String> {
    let rounds = if bench.quick { 3 } else { 9 };
    let cargo = toolchain_cargo()?;
    write_crate(bench)?;
    let script = format!("cd crate && CARGO_HOME=$PWD/../cargo-home CARGO_TARGET_DIR=$PWD/../out {cargo} build --quiet --offline");
    compare(bench, "cargo build of a small crate", &script, rounds)?;
    write_repository(bench)?;
    compare(bench, "git clone of a local repository", "git clone --quiet --no-hardlinks --template= repository out", rounds)
}

/// Runs the script on every side in turn; what it made (`out`) is removed outside the measured time.
fn compare(bench: &Bench, name: &str, script: &str, rounds: usize) -> Result<(), String> {
    let mut results: Vec<(Side, Vec<Duration>)> = bench.sides().into_iter().map(|side| (side, Vec::new())).collect();
    let count = results.len();
    for round in 0..=rounds {
        for turn in 0..count {
            let (side, times) = &mut results[(round + turn) % count];
            let taken = bench.time(*side, &["/bin/sh", "-c", script])?;
            // The first round warms the caches.
            if round > 0 {
                times.push(taken);
            }
            fs::remove_dir_all(bench.work.join("out")).map_err(|error| format!("{name} made nothing: {error}"))?;
        }
    }
    heading(&format!("{name}, median of {rounds}"), "srt ≤ 1.03 × no sandbox");
    print(&results, Side::None);
    Ok(())
}

/// The real cargo: a proxy in front of it would be measured too.
fn toolchain_cargo() -> Result<String, String> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().map_err(|error| format!("cannot run rustc: {error}"))?;
    let cargo = format!("{}/bin", String::from_utf8_lossy(&output.stdout).trim());
    Ok(format!("PATH={cargo}:$PATH {cargo}/cargo"))
}

/// Forty modules with some generic code: a few seconds of real compiler work and no dependency.
fn write_crate(bench: &Bench) -> Result<(), String> {
    let source = bench.work.join("crate/src");
    let cannot = |error| format!("cannot write a crate: {error}");
    fs::create_dir_all(&source).map_err(cannot)?;
    fs::create_dir_all(bench.work.join("cargo-home")).map_err(cannot)?;
    fs::write(
        bench.work.join("crate/Cargo.toml"),
        "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n",
    )
    .map_err(cannot)?;
    let mut library = String::new();
    for number in 0..40 {
        let _infallible = writeln!(library, "pub mod part{number};");
        fs::write(source.join(format!("part{number}.rs")), module(number)).map_err(cannot)?;
    }
    fs::write(source.join("lib.rs"), library).map_err(cannot)
}

fn module(number: usize) -> String {
    let mut text = String::from("use std::collections::BTreeMap;\n");
    for item in 0..12 {
        let _infallible = writeln!(
            text,
            "#[derive(Debug, Clone, PartialEq, Default)]\npub struct Row{item} {{ pub key: String, pub values: Vec<u64>, pub index: BTreeMap<String, u32> }}\n\
             impl Row{item} {{ pub fn total(&self) -> u64 {{ self.values.iter().map(|value| value * {number} + {item}).sum() }}\n\
             pub fn shown(&self) -> String {{ format!(\"{{}}: {{:?}}\", self.key, self.index) }} }}"
        );
    }
    text
}

/// Two thousand files in twenty commits.
fn write_repository(bench: &Bench) -> Result<(), String> {
    let script = "
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com
        git init --quiet --template= repository && cd repository
        for commit in $(seq 20); do
            mkdir -p d$commit
            for file in $(seq 100); do echo \"$commit $file\" >d$commit/f$file; done
            git add . && git commit --quiet --message=$commit
        done";
    let status = Command::new("/bin/sh").args(["-ec", script]).current_dir(&bench.work).status();
    if status.map_err(|error| format!("cannot run a shell: {error}"))?.success() {
        Ok(())
    } else {
        Err("git cannot make a repository".into())
    }
}

//! `cargo xtask cross`: types and lints of the whole workspace for systems that this is not.
//!
//! No built standard library of theirs is needed, only its sources, from which it is checked along; and no linker and no compiler of C, because nothing is linked and no
//! crate that is used there compiles C. Where the sources, or the crates that the standard library itself needs, cannot be had, that is a counted skip.

use std::path::Path;
use std::process::Command;

use crate::ebpf::{self, bounded};
use crate::suite::{self, Counts};

const TARGETS: [&str; 3] = ["aarch64-apple-darwin", "x86_64-apple-darwin", "aarch64-unknown-linux-gnu"];
/// Seconds for one target, on a busy machine.
const LIMIT: u32 = 1800;

/// Checks every target.
pub(crate) fn run() -> Result<Counts, String> {
    let mut counts = Counts::default();
    let library = match ebpf::rust_library() {
        Ok(library) => library,
        Err(cause) => {
            counts.could_not("other systems", &cause);
            return Ok(counts);
        }
    };
    for target in TARGETS {
        eprintln!("cross: {target}");
        let what = format!("check the standard library for {target}");
        // With a package that has no dependencies: what fails here is not our code.
        match bounded::run(cargo("check", target, &library).args(["--package", "srt-ebpf", "--lib"]), &what) {
            Ok(()) => counts.outcome(&format!("lints for {target}"), lint(target, &library)),
            Err(cause) => counts.could_not(&format!("lints for {target}"), &cause),
        }
    }
    Ok(counts)
}

fn lint(target: &str, library: &Path) -> Result<(), String> {
    let mut clippy = cargo("clippy", target, library);
    clippy.args(["--workspace", "--all-targets", "--", "-D", "warnings"]);
    bounded::run(&mut clippy, &format!("check the workspace for {target}"))
}

fn cargo(subcommand: &str, target: &str, library: &Path) -> Command {
    let mut cargo = bounded::command(LIMIT, suite::cargo());
    let area = std::path::absolute(suite::target()).unwrap_or_else(|_| suite::target()).join("cross");
    cargo.args([subcommand, "--quiet", "--locked", "--target", target, "-Z", "build-std=std,panic_abort", "--target-dir"]).arg(area);
    // As for the kernel program: see there.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("__CARGO_TESTS_ONLY_SRC_ROOT", library).env_remove("RUSTFLAGS");
    cargo.current_dir(suite::workspace());
    cargo
}

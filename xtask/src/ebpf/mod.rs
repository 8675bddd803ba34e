//! The kernel program: built from its source, or shown to be what its source gives.
//!
//! The object is committed, so that srt builds where the tools are missing that this needs: the sources of `core`, because the target has no
//! built library, and a linker that knows BPF. Both are got here where they are not at hand, under `target/` as far as that goes.
//!
//! The object is the same byte for byte wherever it is built, by the same release of rustc and the same linker: symbols of the program go by
//! their own names, paths are mapped away, and flags of the caller's do not count.

pub(crate) mod bounded;
mod debian;
mod linker;
mod rust_src;
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use tools::Tools;

use crate::suite::{self, Counts};

/// The rustc that made the committed object: another release gives other bytes. Changed together with the object.
const MADE_BY: &str = "1.95.0";
const TARGET: &str = "bpfel-unknown-none";
/// Seconds for one build, on a busy machine.
const BUILD: u32 = 900;

/// Builds the object and puts it where srt embeds it.
pub(crate) fn build() -> Result<bool, String> {
    let tools = tools::get()?;
    let bytes = compile(&tools)?;
    if tools.rustc.release != MADE_BY {
        eprintln!("ebpf: `--check` expects the object of rustc {MADE_BY}, and this is {}: change MADE_BY with it", tools.rustc.release);
    }
    std::fs::write(committed(), &bytes).map_err(|error| format!("cannot write {}: {error}", committed().display()))?;
    println!("{} ({} bytes)", committed().display(), bytes.len());
    Ok(true)
}

/// Builds and compares, and checks the source with the lints of its own target. A missing tool is a skip.
pub(crate) fn check() -> Result<Counts, String> {
    let mut counts = Counts::default();
    let tools = match tools::get() {
        Ok(tools) if tools.rustc.release == MADE_BY => tools,
        Ok(tools) => {
            counts.could_not("kernel program", &format!("the object is made by rustc {MADE_BY}, and this is {}", tools.rustc.release));
            return Ok(counts);
        }
        Err(cause) => {
            counts.could_not("kernel program", &cause);
            return Ok(counts);
        }
    };
    counts.outcome("kernel program: object", compile(&tools).and_then(|bytes| compare(&bytes)));
    counts.outcome("kernel program: lints", lint(&tools));
    Ok(counts)
}

/// `library` of Rust's own sources, of the compiler's release; got where it is missing.
pub(crate) fn rust_library() -> Result<PathBuf, String> {
    rust_src::get(&tools::rustc()?)
}

/// What `cargo xtask` installs into, and builds in.
fn area() -> PathBuf {
    std::path::absolute(suite::target()).unwrap_or_else(|_| suite::target()).join("ebpf")
}

fn committed() -> PathBuf {
    suite::workspace().join("srt-ebpf/denials.o")
}

fn compile(tools: &Tools) -> Result<Vec<u8>, String> {
    eprintln!("ebpf: sources of core: {}, linker: {}", tools.library.display(), tools.linker.display());
    bounded::run(&mut cargo(tools, "build"), "build the kernel program")?;
    let built = area().join("build").join(TARGET).join("ebpf/denials");
    std::fs::read(&built).map_err(|error| format!("cannot read {}: {error}", built.display()))
}

fn lint(tools: &Tools) -> Result<(), String> {
    let mut clippy = cargo(tools, "clippy");
    clippy.args(["--", "-D", "warnings"]);
    bounded::run(&mut clippy, "lint the kernel program")
}

fn compare(built: &[u8]) -> Result<(), String> {
    let there = std::fs::read(committed()).map_err(|error| format!("cannot read {}: {error}", committed().display()))?;
    if there == built {
        return Ok(());
    }
    let place = there.iter().zip(built).position(|(there, built)| there != built).unwrap_or(there.len().min(built.len()));
    Err(format!(
        "srt-ebpf/denials.o ({} bytes) is not what its source gives ({} bytes): they differ from byte {place} on; `cargo xtask ebpf` renews it",
        there.len(),
        built.len()
    ))
}

/// `cargo build` or `clippy` for the kernel's target.
fn cargo(tools: &Tools, subcommand: &str) -> Command {
    let mut cargo = bounded::command(BUILD, suite::cargo());
    cargo.args([subcommand, "--quiet", "--locked", "--profile", "ebpf", "--package", "srt-ebpf", "--bin", "denials"]);
    cargo.args(["--target", TARGET, "-Z", "build-std=core", "--target-dir"]).arg(area().join("build"));
    // `build-std` is for nightly compilers only, and for those who say that they know.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &tools.linker);
    // Cargo's own tests have this door, and there is no other to sources that do not lie in the sysroot.
    cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", &tools.library);
    // In place of any RUSTFLAGS of the caller's.
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", mapped_paths(tools).join("\u{1f}"));
    cargo.current_dir(suite::workspace());
    cargo
}

/// Flags that keep this machine's paths out of the object.
fn mapped_paths(tools: &Tools) -> Vec<String> {
    let sources = tools.library.parent().unwrap_or(&tools.library);
    let map = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    // The last that fits counts.
    vec![map(&tools::cargo_home(), "/cargo"), map(&suite::workspace(), "/srt"), map(sources, "/rust")]
}

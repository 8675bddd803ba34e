//! What the kernel program is built with.

use std::path::PathBuf;

use super::{bounded, linker, rust_src};

/// Everything that is needed.
pub(super) struct Tools {
    pub(super) rustc: Rustc,
    /// `library` of Rust's sources.
    pub(super) library: PathBuf,
    /// `bpf-linker`.
    pub(super) linker: PathBuf,
}

/// The compiler in use.
pub(super) struct Rustc {
    /// As `1.95.0`.
    pub(super) release: String,
    /// The first number of its LLVM's version.
    pub(super) llvm: String,
    pub(super) sysroot: PathBuf,
}

/// Finds the tools, or gets them.
///
/// # Errors
/// What is missing, and how to get it.
pub(super) fn get() -> Result<Tools, String> {
    let rustc = rustc()?;
    let library = rust_src::get(&rustc)?;
    let linker = linker::get(&rustc)?;
    Ok(Tools { rustc, library, linker })
}

pub(super) fn rustc() -> Result<Rustc, String> {
    let ask = |question: &[&str]| bounded::answer(bounded::command(30, "rustc").args(question), "ask rustc for its version");
    let version = ask(&["-vV"])?;
    let line = |name: &str| {
        let value = version.lines().find_map(|line| line.strip_prefix(name));
        value.map(str::trim).ok_or_else(|| format!("cannot ask rustc for its version: it says no `{name}`"))
    };
    let llvm = line("LLVM version:")?.split('.').next().unwrap_or_default().to_owned();
    Ok(Rustc { release: line("release:")?.to_owned(), llvm, sysroot: ask(&["--print", "sysroot"])?.trim().into() })
}

/// Where cargo keeps registries and installed programs.
pub(super) fn cargo_home() -> PathBuf {
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    std::env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from)
}

//! The sources of Rust's own libraries, of the release that the compiler is.

use std::path::{Path, PathBuf};

use super::tools::Rustc;
use super::{area, bounded, debian};

/// Seconds for rustup, which waits without end for a server that does not answer.
const RUSTUP: u32 = 20;

/// Where they lie; got where they are missing.
pub(super) fn get(rustc: &Rustc) -> Result<PathBuf, String> {
    let in_sysroot = rustc.sysroot.join("lib/rustlib/src/rust/library");
    let unpacked = area().join(format!("rust-src-{}", rustc.release)).join("library");
    if let Some(found) = [&in_sysroot, &unpacked].into_iter().find(|library| is_whole(library)) {
        return Ok(found.clone());
    }
    eprintln!("ebpf: no sources of rustc {}: trying rustup, then a Debian package", rustc.release);
    let by_rustup = bounded::run(bounded::command(RUSTUP, "rustup").args(["component", "add", "rust-src"]), "get rust-src from rustup");
    if by_rustup.is_ok() && is_whole(&in_sysroot) {
        return Ok(in_sysroot);
    }
    let by_package = debian::unpack(&rustc.release, &unpacked);
    if by_package.is_ok() && is_whole(&unpacked) {
        return Ok(unpacked);
    }
    let why = [by_rustup, by_package].into_iter().filter_map(Result::err).collect::<Vec<_>>().join("; ");
    Err(format!(
        "no sources of rustc {}: `rustup component add rust-src`, or put them under {}/lib/rustlib/src/rust ({why})",
        rustc.release,
        rustc.sysroot.display()
    ))
}

/// The lock file is what cargo looks for.
fn is_whole(library: &Path) -> bool {
    ["Cargo.lock", "core/src/lib.rs"].iter().all(|file| library.join(file).is_file())
}

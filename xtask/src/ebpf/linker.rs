//! `bpf-linker`, which makes one BPF object of LLVM's bitcode.
//!
//! It must read the bitcode that rustc writes: built here, it uses rustc's own LLVM.

use std::path::{Path, PathBuf};

use super::tools::{Rustc, cargo_home};
use super::{area, bounded};
use crate::suite;

/// Another version may write other bytes.
const VERSION: &str = "0.13.0";
/// Seconds: half a minute of work for one processor that has nothing else to do.
const BUILD: u32 = 1200;

/// Where it is; built where it is missing.
pub(super) fn get(rustc: &Rustc) -> Result<PathBuf, String> {
    let own = area().join(format!("linker-{}", rustc.release));
    let on_path = std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let directories = std::iter::once(own.join("bin")).chain(on_path).chain([cargo_home().join("bin")]);
    if let Some(found) = directories.map(|directory| directory.join("bpf-linker")).find(|program| works(program)) {
        return Ok(found);
    }
    eprintln!("ebpf: no bpf-linker {VERSION}: building it");
    install(rustc, &own).map_err(|cause| format!("no bpf-linker {VERSION} ({cause}): see https://github.com/aya-rs/bpf-linker"))
}

/// One that was built against an LLVM that is gone does not start.
fn works(program: &Path) -> bool {
    let version = || bounded::answer(bounded::command(30, program).arg("--version"), "ask bpf-linker for its version");
    program.is_file() && version().is_ok_and(|version| version.trim() == format!("bpf-linker {VERSION}"))
}

fn install(rustc: &Rustc, own: &Path) -> Result<PathBuf, String> {
    let llvm = own.join("llvm");
    link_llvm(rustc, &llvm.join("lib"))?;
    let mut cargo = bounded::command(BUILD, suite::cargo());
    cargo.args(["install", "--quiet", "--locked", "bpf-linker", "--version", VERSION, "--no-default-features", "--features"]);
    cargo.arg(format!("llvm-{}", rustc.llvm)).arg("--root").arg(own).env("LLVM_PREFIX", &llvm);
    // No flags of the caller's, who means another program.
    cargo.env("CARGO_TARGET_DIR", own.join("build")).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    bounded::run(&mut cargo, "build it")?;
    let _ = std::fs::remove_dir_all(own.join("build"));
    let program = own.join("bin/bpf-linker");
    if works(&program) { Ok(program) } else { Err("what was built does not run".to_owned()) }
}

/// Names under which the linker's build and the built linker look for rustc's LLVM. Both lead to the library itself: the file with the plain name is a script for linkers.
fn link_llvm(rustc: &Rustc, directory: &Path) -> Result<(), String> {
    let cannot = |error| format!("cannot link rustc's LLVM into {}: {error}", directory.display());
    let libraries = rustc.sysroot.join("lib");
    let mut names = std::fs::read_dir(&libraries).map_err(cannot)?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let name = names.find(|name| name.starts_with(&format!("libLLVM.so.{}.", rustc.llvm))).ok_or("this rustc has no LLVM of its own")?;
    std::fs::create_dir_all(directory).map_err(cannot)?;
    for link in ["libLLVM.so", &name] {
        let link = directory.join(link);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(libraries.join(&name), link).map_err(cannot)?;
    }
    Ok(())
}

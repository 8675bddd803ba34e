//! Where the programs under test are, in a place that the ordinary user can execute.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// The `srt` under test: `SRT_BIN`, else the one that cargo built beside the test executable.
///
/// # Panics
/// When there is none: the suites have nothing to say then.
pub fn srt() -> &'static Path {
    static SRT: OnceLock<PathBuf> = OnceLock::new();
    SRT.get_or_init(|| {
        let named = std::env::var_os("SRT_BIN").map(PathBuf::from);
        reachable(&named.unwrap_or_else(|| built_beside("srt")))
    })
}

/// `srt-probe`.
///
/// # Panics
/// When it was not built.
pub fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| reachable(&built_beside("srt-probe")))
}

/// `target/<profile>`: the test executable lies in its `deps`.
pub(crate) fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("the test executable has a path");
    let dir = test.parent().expect("an executable lies in a directory");
    if dir.ends_with("deps") { dir.parent().unwrap_or(dir).to_owned() } else { dir.to_owned() }
}

/// Built by cargo together with the tests (`srt-probe`), or by `cargo build` / `cargo test --workspace` (`srt`).
fn built_beside(name: &str) -> PathBuf {
    let path = profile_dir().join(name);
    if !path.exists() {
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--workspace", "--bin", name]);
        if path.parent().is_some_and(|dir| dir.ends_with("release")) {
            build.arg("--release");
        }
        let status = build.status().unwrap_or_else(|error| panic!("cannot run cargo to build {name}: {error}"));
        assert!(status.success() && path.exists(), "cannot build {name}: set SRT_BIN, or run `cargo build`");
    }
    path
}

/// The path itself where anyone may execute it, else a copy in the common part of the test areas.
fn reachable(path: &Path) -> PathBuf {
    let path = path.canonicalize().unwrap_or_else(|error| panic!("cannot find {}: {error}", path.display()));
    if path.ancestors().all(executable_by_all) {
        return path;
    }
    let copy = crate::area::shared_root().join(path.file_name().expect("an executable has a name"));
    // Written by another process: a write descriptor of ours would be inherited by a fork of some parallel test, and then
    // executing the copy would fail with ETXTBSY.
    let status = Command::new("install").args(["-m", "755"]).arg(&path).arg(&copy).status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "cannot copy {}: {status:?}", path.display());
    copy
}

/// A directory tree where every identity can use it: itself, or a copy made of hard links, or itself again where none can be made.
pub fn reachable_directory(path: &Path) -> PathBuf {
    static COPIES: Mutex<BTreeMap<PathBuf, PathBuf>> = Mutex::new(BTreeMap::new());
    let Ok(path) = path.canonicalize() else { return path.to_owned() };
    if path.ancestors().all(executable_by_all) {
        return path;
    }
    let mut copies = COPIES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let number = copies.len();
    copies.entry(path.clone()).or_insert_with(|| linked_copy(&path, number).unwrap_or(path)).clone()
}

fn linked_copy(path: &Path, number: usize) -> Option<PathBuf> {
    let copy = crate::area::shared_root().join(format!("linked-{number}"));
    let status = Command::new("cp").args(["-al", "--"]).arg(path).arg(&copy).status();
    status.is_ok_and(|status| status.success()).then_some(copy)
}

fn executable_by_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o1 != 0)
}

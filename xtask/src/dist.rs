//! The binary to install.

use std::path::PathBuf;
use std::process::Command;

use super::suite;

/// Builds srt statically (position-independent still): a dynamic linker would cost it a quarter of a millisecond at every start.
///
/// `cargo rustc` gives the flag to this one program; in a configuration file it would reach procedural macros too, which cannot be built so.
pub(super) fn build() -> Result<PathBuf, String> {
    let mut cargo = Command::new(suite::cargo());
    cargo.args(["rustc", "--quiet", "--profile", "dist", "--package", "srt", "--bin", "srt", "--", "-C", "target-feature=+crt-static"]);
    match cargo.current_dir(suite::workspace()).status() {
        Ok(status) if status.success() => Ok(target().join("dist/srt")),
        Ok(status) => Err(format!("the build of srt failed: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

/// Where cargo builds.
pub(super) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| suite::workspace().join("target"), PathBuf::from)
}

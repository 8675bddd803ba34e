//! Skips are counted: libtest knows no skip, so each one is a line in a file that `cargo xtask test` reads afterwards.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Records that the running test could not be done, or not for one identity.
///
/// # Panics
/// With `SRT_TEST_REQUIRE=all` in the environment: there a skip is a failure.
pub fn skipped(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unnamed");
    assert!(std::env::var_os("SRT_TEST_REQUIRE").is_none_or(|value| value != "all"), "{test} would be skipped: {reason}");
    eprintln!("skipped {test}: {reason}");
    let line = format!("{test}: {reason}\n").replace("::", ".");
    // One write to a file opened for appending: lines of tests that run in parallel do not mix.
    let written = OpenOptions::new().create(true).append(true).open(record()).and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("cannot record a skip in {}: {error}", record().display());
    }
}

/// `SRT_TEST_SKIPS`, else a file beside the test executable.
fn record() -> PathBuf {
    std::env::var_os("SRT_TEST_SKIPS").map_or_else(|| crate::binaries::profile_dir().join("srt-test-skips"), PathBuf::from)
}

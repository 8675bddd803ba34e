//! Skips are counted: libtest knows no skip, so each one is a line in a file that `cargo xtask test` reads afterwards.
//!
//! `skip TEST: REASON` stands for one test and one identity; `whole TEST` follows when nothing of the test was left.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

thread_local! {
    /// Skips of the test that runs on this thread: libtest gives every test a thread of its own.
    static SKIPS: Cell<usize> = const { Cell::new(0) };
}

/// Records that the running test could not be done, or not for one identity.
///
/// # Panics
/// With `SRT_TEST_REQUIRE=all` in the environment: there a skip is a failure.
pub fn skipped(reason: &str) {
    let test = test_name();
    assert!(std::env::var_os("SRT_TEST_REQUIRE").is_none_or(|value| value != "all"), "{test} would be skipped: {reason}");
    eprintln!("skipped {test}: {reason}");
    SKIPS.set(SKIPS.get() + 1);
    record(&format!("skip {test}: {reason}"));
}

/// How many skips this thread has recorded.
pub(crate) fn count() -> usize {
    SKIPS.get()
}

/// Records that every part of the running test was skipped.
pub(crate) fn whole() {
    record(&format!("whole {}", test_name()));
}

pub(crate) fn test_name() -> String {
    std::thread::current().name().unwrap_or("unnamed").replace("::", ".")
}

/// One write to a file opened for appending: lines of tests that run in parallel do not mix.
fn record(line: &str) {
    let path = place();
    let written = OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| writeln_at_once(&mut file, line));
    if let Err(error) = written {
        panic!("cannot record a skip in {}: {error}", path.display());
    }
}

fn writeln_at_once(file: &mut std::fs::File, line: &str) -> std::io::Result<()> {
    file.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())
}

/// `SRT_TEST_SKIPS`, else a file beside the test executable.
fn place() -> PathBuf {
    std::env::var_os("SRT_TEST_SKIPS").map_or_else(|| crate::binaries::profile_dir().join("srt-test-skips"), PathBuf::from)
}

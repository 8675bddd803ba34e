//! Reading many files on a warm cache.

use super::side::{Bench, Side};
use super::start::{interleave, print};
use super::table::heading;

pub(super) fn run(bench: &Bench) -> Result<(), String> {
    let rounds = if bench.quick { 3 } else { 11 };
    // tar does not read what it would write to /dev/null, so a pipe stands between. Directories that only another user may read
    // are passed over: root has no capabilities in a sandbox.
    let jobs: [(&str, &[&str]); 2] = [
        ("find /usr", &["/bin/sh", "-c", "find /usr -xdev 2>/dev/null | cat >/dev/null"]),
        ("tar of /usr/lib", &["/bin/sh", "-c", "tar c /usr/lib 2>/dev/null | cat >/dev/null"]),
    ];
    for (name, words) in jobs {
        bench.time(Side::None, words)?;
        let results = interleave(bench, rounds, words)?;
        heading(&format!("{name}, warm, median of {rounds}"), "srt ≤ 1.08 × no sandbox");
        print(&results, Side::None);
    }
    Ok(())
}

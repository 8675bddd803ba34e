//! `cargo xtask layers`: the end-to-end suite on this kernel, with layers taken away by srt's hidden option.
//!
//! Without the broker, without Landlock, and by the old mount calls srt runs, says what is missing, and holds the rest: the whole suite runs, but for
//! tests that are about the missing layer. Without user namespaces or the filter it refuses to run anything: there the tests that show it are run.

use crate::suite::{self, Counts, Scope};

/// A host with less.
struct Row {
    /// As `SRT_TEST_WITHOUT` takes it.
    without: &'static str,
    /// Layers for which tests may be skipped then.
    skips: &'static [&'static str],
    /// Which tests; all where none is named.
    filters: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row { without: "user-notification", skips: &["Broker"], filters: &[] },
    Row { without: "landlock", skips: &["Landlock"], filters: &[] },
    Row { without: "landlock-scopes", skips: &[], filters: &[] },
    Row { without: "new-mount-api", skips: &[], filters: &[] },
    // As Linux 5.10 is.
    Row { without: "user-notification,landlock,new-mount-api", skips: &["Broker", "Landlock"], filters: &[] },
    Row { without: "user-namespaces", skips: &[], filters: REFUSED },
    Row { without: "seccomp", skips: &[], filters: REFUSED },
];

const REFUSED: &[&str] = &["without_namespaces_or_filter_nothing_is_run"];

/// How the suite begins the reason of such a skip (tests/src/identity.rs).
const ABOUT: &str = "it is about a layer that is missing: ";

/// Runs every row; `extra` goes to the test program.
pub(crate) fn run(extra: &[&str]) -> Result<Counts, String> {
    let mut sum = Counts::default();
    let mut table = String::new();
    for row in ROWS {
        println!("\nwithout {}", row.without);
        let words: Vec<&str> = ["--"].into_iter().chain(row.filters.iter().copied()).chain(extra.iter().copied()).collect();
        let environment = [("SRT_TEST_WITHOUT", row.without)];
        let scope = Scope { packages: &["--package", "srt-tests", "--test", "e2e"], environment: &environment, extra: &words };
        let mut counts = suite::run_scope(&scope)?;
        let unexpected: Vec<String> = counts.reasons().filter(|reason| !is_expected(reason, row.skips)).cloned().collect();
        unexpected.iter().for_each(|reason| counts.fail(&format!("unexpected skip: {reason}")));
        table += &format!("{:<42} {:>6} {:>6} {:>7}\n", row.without, counts.passed, counts.failed, counts.skipped());
        counts.name_failures(&format!("without {}: ", row.without));
        sum.add(counts);
    }
    println!("\n{:<42} {:>6} {:>6} {:>7}\n{table}", "without", "passed", "failed", "skipped");
    Ok(sum)
}

/// A skip for a missing layer must be for one that was taken away; others have to do with this host, not with layers.
fn is_expected(reason: &str, layers: &[&str]) -> bool {
    reason.split_once(ABOUT).is_none_or(|(_, layer)| layers.contains(&layer))
}

#[cfg(test)]
mod tests {
    use super::is_expected;

    #[test]
    fn a_skip_for_a_layer_that_is_there_is_unexpected() {
        assert!(is_expected("user: it is about a layer that is missing: Broker", &["Broker"]));
        assert!(!is_expected("root: it is about a layer that is missing: Broker", &["Landlock"]));
        assert!(is_expected("root: go is not installed", &[]));
    }
}

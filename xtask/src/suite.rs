//! The tests of the whole workspace, with true counts at the end.
//!
//! libtest knows no skip: the end-to-end suites write one line a skip to a file, which is read here. A skip is one test for one
//! identity; a test that was skipped for all its identities does not count as passed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What happened.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    skipped: usize,
    /// Names of what failed.
    pub(crate) failures: Vec<String>,
    /// Reasons of skips, with their number.
    reasons: BTreeMap<String, usize>,
    /// Something else than a test went wrong: a build, a crash.
    broken: bool,
}

impl Counts {
    /// Adds another count to this one.
    pub(crate) fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
        self.broken |= other.broken;
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
    }

    /// Something could not be done.
    pub(crate) fn skip(&mut self, reason: &str) {
        self.skipped += 1;
        *self.reasons.entry(reason.to_owned()).or_default() += 1;
    }

    /// Something else than a test of libtest's failed.
    pub(crate) fn fail(&mut self, name: &str) {
        self.failed += 1;
        self.failures.push(name.to_owned());
    }

    /// Says where the failures were.
    pub(crate) fn name_failures(&mut self, place: &str) {
        self.failures.iter_mut().for_each(|name| name.insert_str(0, place));
    }

    /// Why something was skipped.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = &String> {
        self.reasons.keys()
    }

    /// How many were skipped.
    pub(crate) fn skipped(&self) -> usize {
        self.skipped
    }

    /// Counts one thing that was done, and says why it failed.
    pub(crate) fn outcome(&mut self, name: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(cause) => {
                eprintln!("{name}: {cause}");
                self.failed += 1;
                self.failures.push(name.to_owned());
            }
        }
    }

    /// Counts something that could not be done here; under `SRT_TEST_REQUIRE=all` that is a failure, as in the suites.
    pub(crate) fn could_not(&mut self, name: &str, reason: &str) {
        if std::env::var_os("SRT_TEST_REQUIRE").is_some_and(|value| value == "all") {
            return self.outcome(name, Err(format!("would be skipped: {reason}")));
        }
        self.skipped += 1;
        *self.reasons.entry(format!("{name}: {reason}")).or_default() += 1;
    }

    /// Prints what was skipped and what failed, then the closing line; true when nothing failed.
    pub(crate) fn close(&self) -> bool {
        if self.skipped > 0 {
            println!("\n{} skipped:", self.skipped);
        }
        for (reason, count) in &self.reasons {
            println!("  {count} × {reason}");
        }
        if !self.failures.is_empty() {
            println!("\nfailed:");
        }
        for name in &self.failures {
            println!("  {name}");
        }
        if self.broken {
            println!("\ncargo itself failed: see above");
        }
        println!("\n{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        self.failed == 0 && !self.broken
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The workspace's root: xtask lies directly below it.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// An error with what was being done.
fn cannot(what: &'static str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("cannot {what}: {error}")
}

/// Which tests, and what they find in their environment.
pub(crate) struct Scope<'a> {
    /// Arguments of `cargo test`.
    pub(crate) packages: &'a [&'a str],
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// More arguments, from whoever called.
    pub(crate) extra: &'a [&'a str],
}

/// Runs all tests with `extra` arguments.
pub(crate) fn run(extra: &[&str]) -> Result<Counts, String> {
    run_scope(&Scope { packages: &["--workspace"], environment: &[], extra })
}

/// Runs `cargo test`.
pub(crate) fn run_scope(scope: &Scope) -> Result<Counts, String> {
    // Everything the tests make lies here, and goes with it.
    let area = std::env::temp_dir().join(format!("srt-suite-{}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o755).create(&area).map_err(cannot("make a directory for the tests"))?;
    let counts = run_in(&area, scope);
    // Through rm: what other identities left without permissions does not stop it halfway.
    let removed = Command::new("rm").args(["-rf", "--"]).arg(&area).status().map_err(cannot("run rm"))?;
    if !removed.success() {
        eprintln!("xtask: {} could not be removed wholly", area.display());
    }
    counts
}

fn run_in(area: &Path, scope: &Scope) -> Result<Counts, String> {
    let skips = area.join("skips");
    std::fs::write(&skips, "").map_err(cannot("make the record of skips"))?;
    // `cargo test` builds no binaries of packages without integration tests of their own, and the suites run `srt`.
    let built = Command::new(cargo()).args(["build", "--workspace", "--bins"]).current_dir(workspace()).status();
    let mut counts = Counts { broken: !built.map_err(cannot("run cargo"))?.success(), ..Counts::default() };
    let mut tests = Command::new(cargo());
    tests.args(["test", "--no-fail-fast"]).args(scope.packages).args(scope.extra).current_dir(workspace());
    tests.envs(scope.environment.iter().copied()).env("SRT_TEST_SKIPS", &skips).env("TMPDIR", area).stdout(Stdio::piped());
    let mut child = tests.spawn().map_err(cannot("run cargo"))?;
    for line in BufReader::new(child.stdout.take().ok_or("no output of cargo")?).split(b'\n') {
        let line = String::from_utf8_lossy(&line.map_err(cannot("read the output of cargo"))?).into_owned();
        println!("{line}");
        counts.read(&line);
    }
    let succeeded = child.wait().map_err(cannot("wait for cargo"))?.success();
    counts.broken |= !succeeded && counts.failed == 0;
    counts.read_skips(&std::fs::read_to_string(&skips).map_err(cannot("read the record of skips"))?);
    Ok(counts)
}

impl Counts {
    /// One line of libtest: `test NAME ... FAILED`, perhaps with the time that it took, or `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some((name, end)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
            && (end == "FAILED" || end.starts_with("FAILED <"))
        {
            self.failures.push(name.to_owned());
        }
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let number = |word: &str| {
            let before = result.split(word).next()?;
            before.split(' ').rfind(|part| !part.is_empty())?.parse::<usize>().ok()
        };
        self.passed += number(" passed").unwrap_or(0);
        self.failed += number(" failed").unwrap_or(0);
        self.skipped += number(" ignored").unwrap_or(0);
    }

    /// Lines `skip TEST: REASON`, and `whole TEST` for a test of which nothing was left.
    pub(crate) fn read_skips(&mut self, record: &str) {
        for line in record.lines() {
            if line.starts_with("whole ") {
                self.passed = self.passed.saturating_sub(1);
            } else if let Some((_, reason)) = line.strip_prefix("skip ").and_then(|rest| rest.split_once(": ")) {
                self.skip(reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn results_of_several_test_programs_are_added() {
        let mut counts = Counts::default();
        counts.read("test a::b ... ok");
        counts.read("test a::c ... FAILED");
        counts.read("test a::d ... FAILED <1.203s>");
        counts.read("test result: FAILED. 3 passed; 2 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        counts.read("test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        assert_eq!((counts.passed, counts.failed, counts.skipped), (43, 2, 2));
        assert_eq!(counts.failures, ["a::c", "a::d"]);
    }

    #[test]
    fn a_test_skipped_as_a_whole_has_not_passed() {
        let mut counts = Counts { passed: 10, ..Counts::default() };
        counts.read_skips("skip a.b: root: no vim\nskip a.b: user: no vim\nwhole a.b\nskip a.c: user: no vim\n");
        assert_eq!((counts.passed, counts.skipped), (9, 3));
        assert_eq!(counts.reasons["user: no vim"], 2);
    }
}

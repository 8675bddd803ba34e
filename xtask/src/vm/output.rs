//! What the suite prints in a guest, as it comes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;

use crate::suite::Counts;

/// Passes lines on with the kernel's name, and counts results.
pub(super) struct Output<'a> {
    series: &'a str,
    log: File,
    pub(super) counts: Counts,
    rest: Vec<u8>,
    passed: usize,
    /// Tests that libtest called slow, and that have not ended.
    slow: BTreeSet<String>,
    /// The end of libtest's output, with what failed tests said, was reached.
    told: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(series: &'a str, log: File) -> Self {
        Output { series, log, counts: Counts::default(), rest: Vec::new(), passed: 0, slow: BTreeSet::new(), told: false }
    }

    fn line(&mut self, line: &str) {
        self.counts.read(line);
        if let Some(test) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" has been running for over 60 seconds")) {
            self.slow.insert(test.to_owned());
        } else if let Some((test, end)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            self.slow.remove(test);
            self.passed += usize::from(end.starts_with("ok"));
        }
        self.told |= line == "failures:";
        if self.told || line.starts_with("test ") {
            println!("{}: {line}", self.series);
        }
    }

    /// The counts of a suite that came to no end: its own sum is missing, and what was running then is what may have hung.
    pub(super) fn cut_off(mut self, cause: &str) -> Counts {
        (self.counts.passed, self.counts.failed) = (self.passed, self.counts.failures.len());
        self.counts.fail(cause);
        for test in &self.slow {
            self.counts.fail(&format!("{test} (had not ended)"));
        }
        self.counts
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.log.write_all(bytes)?;
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.line(String::from_utf8_lossy(&line).trim_end());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.log.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::Output;

    #[test]
    fn results_are_counted_wherever_the_bytes_are_cut() {
        let mut output = Output::new("0", std::fs::File::create("/dev/null").unwrap());
        for part in ["test a ... FAI", "LED\ntest result: FAILED. 2 pas", "sed; 1 failed; 0 ignored; 0 measured\n"] {
            output.write_all(part.as_bytes()).unwrap();
        }
        assert_eq!((output.counts.passed, output.counts.failed), (2, 1));
        assert_eq!(output.counts.failures, ["a"]);
    }

    #[test]
    fn of_a_suite_that_hangs_the_rest_is_counted_and_the_test_is_named() {
        let mut output = Output::new("0", std::fs::File::create("/dev/null").unwrap());
        let lines = ["test a ... ok <1.0s>", "test b has been running for over 60 seconds", "test c has been running for over 60 seconds"];
        lines.iter().for_each(|line| output.line(line));
        output.line("test c ... FAILED <70.0s>");
        let counts = output.cut_off("nothing was printed");
        assert_eq!((counts.passed, counts.failures), (1, vec!["c".into(), "nothing was printed".into(), "b (had not ended)".to_owned()]));
    }
}

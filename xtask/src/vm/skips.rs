//! Skips that are expected on a kernel. Any other one is a failure: it would hide what the kernel shows.

/// A reason, and the kernels where it is expected.
struct Expected {
    /// The reason begins so, after the identity.
    reason: &'static str,
    kernels: &'static [&'static str],
}

const EVERYWHERE: &[&str] = &["5.10", "6.1", "6.12", "7"];

const EXPECTED: &[Expected] = &[
    // The suite's own word for tests of what a kernel lacks. `layers.rs` says which kernel may lack what.
    Expected { reason: "it is about a layer that is missing: Broker", kernels: &["5.10"] },
    Expected { reason: "it is about a layer that is missing: Landlock", kernels: &["5.10"] },
    Expected { reason: "this kernel has no Landlock", kernels: &["5.10"] },
    // The guest has no network, and of the tools only those that many tests use.
    Expected { reason: "there is no Rust toolchain", kernels: EVERYWHERE },
    Expected { reason: "go is not installed", kernels: EVERYWHERE },
    Expected { reason: "no bpftool", kernels: EVERYWHERE },
    Expected { reason: "java is not installed", kernels: EVERYWHERE },
    Expected { reason: "psql is not installed", kernels: EVERYWHERE },
    Expected { reason: "nc is not installed", kernels: EVERYWHERE },
];

/// What is wrong with the record of skips.
pub(super) fn faults(record: &str, series: &str) -> Vec<String> {
    let skips = record.lines().filter_map(|line| line.strip_prefix("skip ")?.split_once(": "));
    let unexpected = skips.filter(|(_, reason)| {
        let reason = reason.strip_prefix("root: ").or_else(|| reason.strip_prefix("user: ")).unwrap_or(reason);
        !EXPECTED.iter().any(|row| reason.starts_with(row.reason) && row.kernels.contains(&series))
    });
    unexpected.map(|(test, reason)| format!("unexpected skip of {test}: {reason}")).collect()
}

#[cfg(test)]
mod tests {
    use super::faults;

    #[test]
    fn a_skip_that_is_not_in_the_table_is_a_fault() {
        assert!(faults("skip a.b: root: go is not installed\nwhole a.b\n", "6.1").is_empty());
        assert_eq!(faults("skip a.c: user: this kernel has no Landlock\n", "6.1").len(), 1);
    }
}

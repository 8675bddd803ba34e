//! Bodies of the fuzz targets: what must hold for any bytes.
//!
//! Each body lies beside the code that it puts to the test, and panics where something does not hold. `tests/fuzz` hands it bytes that libFuzzer makes up
//! (`cargo xtask fuzz`); the ordinary tests hand it the committed seeds, among them every input that ever broke something.
//!
//! A new target is a body, a row here, a seed directory `tests/fuzz/seeds/NAME`, and a `[[bin]]` of that name in `tests/fuzz`.

/// A target: its name and what it does with one input.
type Target = (&'static str, fn(&[u8]));

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    ("client_hello", crate::proxy::fuzzing::client_hello),
    ("control", crate::supervisor::fuzzing::control),
    ("dns", crate::proxy::fuzz_dns),
    ("domains", crate::policy::fuzzing::domains),
    #[cfg(target_os = "linux")]
    ("ebpf_record", crate::supervisor::fuzzing::record),
    ("glob", crate::policy::fuzzing::glob),
    ("http", crate::proxy::fuzzing::http),
    ("parent", crate::proxy::fuzzing::parent),
    #[cfg(target_os = "linux")]
    ("resolve", crate::linux::fuzz_resolve),
    ("settings", crate::settings::fuzzing::settings),
    ("show", crate::violation::fuzzing::show),
    ("socks5", crate::proxy::fuzzing::socks5),
    ("store", crate::violation::fuzzing::store),
    #[cfg(target_os = "linux")]
    ("wire", crate::linux::fuzz_wire),
];

/// Runs the body of one target.
///
/// # Panics
/// There is none of this name; or something does not hold.
pub fn run(name: &str, data: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of this name");
    body(data);
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn tests_fuzz() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz")
    }

    #[cfg(target_os = "linux")]
    fn names_in(directory: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(tests_fuzz().join(directory)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_target_has_seeds_and_a_program() {
        let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names_in("seeds"), known);
        assert_eq!(names_in("targets"), known);
    }

    #[test]
    fn every_seed_holds() {
        for (name, body) in TARGETS {
            let mut seeds = 0;
            for entry in std::fs::read_dir(tests_fuzz().join("seeds").join(name)).unwrap() {
                let path = entry.unwrap().path();
                let held = std::panic::catch_unwind(|| body(&std::fs::read(&path).unwrap()));
                assert!(held.is_ok(), "{}", path.display());
                seeds += 1;
            }
            assert!(seeds >= 5, "{name} has seeds");
        }
    }
}

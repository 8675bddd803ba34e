//! Many sandboxes at once.

use srt_tests::{Area, for_each_identity};

#[test]
fn two_hundred_sandboxes_at_once_all_work() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules();
        let before = std::fs::read_dir(area.path("tmp")).map(Iterator::count).ok();
        let runs: Vec<_> =
            (0..200).map(|number| area.shell(&rules, &format!("echo {number} >n{number}; echo {number}")).limit(120).spawn()).collect();
        let mut failed = Vec::new();
        for (number, run) in runs.into_iter().enumerate() {
            let outcome = run.wait();
            if outcome.code() != Some(0) || outcome.out() != number.to_string() || !area.has(&format!("work/n{number}")) {
                failed.push(outcome.to_string());
            }
        }
        assert!(failed.is_empty(), "{} of 200 failed:\n{}", failed.len(), failed.iter().take(3).cloned().collect::<Vec<_>>().join("\n"));
        assert_eq!(before, std::fs::read_dir(area.path("tmp")).map(Iterator::count).ok(), "temporary directories were left behind");
    });
}

#[test]
fn a_small_limit_on_descriptors_is_a_message_or_a_run() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = area.shell(&area.rules(), "echo ran").through_shell("ulimit -n 12; exec \"$@\"").run();
        assert!(!outcome.err().contains("panicked"), "{outcome}");
        if outcome.code() != Some(0) {
            outcome.assert_refused();
        }
    });
}

#[test]
fn a_thousand_rules_work() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let mut rules = area.rules();
        for number in 0..1000 {
            rules = rules
                .deny_read(area.file(&format!("work/secrets/{number}"), "secret").display().to_string())
                .allow_domain(format!("host{number}.example.com"));
        }
        area.file("work/secrets/plain", "public");
        let outcome = area.shell(&rules, "cat secrets/* 2>/dev/null; true").run();
        outcome.assert_prints("public").assert_code(0);
    });
}

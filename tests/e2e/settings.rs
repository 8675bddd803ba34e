//! Settings files, good and bad.

use std::fmt::Write as _;

use srt_tests::{Area, Outcome, Rules, for_each_identity};

/// Runs a command that leaves a mark, under a settings file with this text.
fn run_with(area: &Area, text: &str) -> Outcome {
    let file = area.file("outside/by-hand.json", text).display().to_string();
    area.bare_srt().args(&["run", "--settings", &file, "--", "touch", "mark"]).run()
}

/// srt exits 125, says `srt: cannot …`, names the file (and the place, where one is given), and nothing ran.
#[track_caller]
fn refused(area: &Area, text: &str, place: &str) {
    let shown: String = text.chars().take(200).collect();
    let outcome = run_with(area, text);
    assert!(!area.has("work/mark"), "the command ran under {shown}");
    assert_eq!(outcome.code(), Some(125), "{shown}\n{outcome}");
    outcome.assert_refused();
    let origin = format!("by-hand.json{place}");
    assert!(outcome.err().contains(&origin), "no {origin:?} under {shown}\n{outcome}");
}

fn table(network: &str, filesystem: &str) -> String {
    format!("{{\n  \"network\": {{ {network} }},\n  \"filesystem\": {{ {filesystem} }}\n}}\n")
}

#[test]
fn a_file_that_is_no_settings_file_is_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for text in [
            "",
            " \n",
            "null",
            "[]",
            "1",
            "\"x\"",
            "{",
            "{]",
            "{\"network\": }",
            "nonsense",
            "{} {}",
            "\u{0}",
            "{\"network\": {}, \"network\": {}}",
        ] {
            refused(&area, text, "");
        }
    });
}

#[test]
fn a_named_file_that_is_missing_or_unreadable_or_no_file_is_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.link("loop", "outside/loop");
        area.dir("outside/directory");
        for name in ["outside/missing.json", "outside/directory", "outside/loop", "outside/missing/x.json"] {
            let path = area.text(name);
            let outcome = area.bare_srt().args(&["run", "--settings", &path, "--", "touch", "mark"]).run();
            outcome.assert_refused().assert_err_has(&path);
            assert!(!area.has("work/mark"));
        }
        if !who.is_root() {
            let path = area.file("outside/secret.json", &Rules::new().text());
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).expect("the owner may change a mode");
            let path = path.display().to_string();
            area.bare_srt().args(&["run", "--settings", &path, "--", "touch", "mark"]).run().assert_refused().assert_err_has(&path);
        }
    });
}

#[test]
fn a_fifo_or_device_as_settings_file_does_not_hang() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe_outside(&["mknod", "fifo", &area.text("outside/fifo")]).run().assert_prints("ok");
        for path in [area.text("outside/fifo"), "/dev/zero".into(), "/dev/null".into()] {
            area.bare_srt()
                .args(&["run", "--settings", &path, "--", "touch", "mark"])
                .limit(20)
                .run()
                .assert_refused()
                .assert_err_has(&path);
        }
        assert!(!area.has("work/mark"));
    });
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_place() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let lists = "\"allowedDomains\": [], \"deniedDomains\": []";
        let cases = [
            (table("\"allowedDomains\": \"x.com\"", ""), ":2:"),
            (table("\"allowedDomains\": [1]", ""), ":2:"),
            (table("\"allowedDomains\": [null]", ""), ":2:"),
            (table("\"allowAllUnixSockets\": \"yes\"", ""), ":2:"),
            (table("\"httpProxyPort\": 0", ""), ":2:"),
            (table("\"httpProxyPort\": 65536", ""), ":2:"),
            (table("\"httpProxyPort\": -1", ""), ":2:"),
            (table("\"httpProxyPort\": 80.5", ""), ":2:"),
            (table(lists, "\"denyRead\": {}"), ":3:"),
            (table(lists, "\"denyRead\": [[]]"), ":3:"),
            (table(lists, "\"denyRead\": [{ \"path\": 1 }]"), ":3:"),
            (table(lists, "\"denyRead\": [{ \"literal\": true }]"), ":3:"),
            (table(lists, "\"denyRead\": [{ \"path\": \"/x\", \"more\": 1 }]"), ":3:"),
            (table(lists, "\"disabled\": 1"), ":3:"),
            ("{\n  \"network\": []\n}".into(), ":2:"),
            ("{\n  \"filesystem\": 5\n}".into(), ":2:"),
            ("{\n  \"mandatoryDenySearchDepth\": 11\n}".into(), ":2:"),
            ("{\n  \"mandatoryDenySearchDepth\": 0\n}".into(), ":2:"),
            ("{\n  \"ignoreViolations\": []\n}".into(), ":2:"),
        ];
        for (text, place) in cases {
            refused(&area, &text, place);
        }
    });
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    for_each_identity(|who| {
        let area = Area::new(who);
        refused(&area, &table("\"allowedDomain\": []", ""), ":2:");
        run_with(&area, &table("\"allowedDomain\": []", "")).assert_err_has("allowedDomains");
        run_with(&area, &table("", "\"denyreads\": []")).assert_err_has("denyRead");
        run_with(&area, "{ \"filesytem\": {} }").assert_err_has("filesystem");
    });
}

#[test]
fn a_domain_entry_that_is_too_broad_or_can_never_match_is_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let entries = [
            "*",
            "*.com",
            "*.",
            "*example.com",
            "a.*.com",
            "https://example.com",
            "example.com/path",
            "",
            "not-a-domain",
            ".example.com",
            "127.1",
            "0x7f.0.0.1",
            "010.0.0.1",
            "::1",
            "example.com:0",
            "example.com:080",
            "example.com:65536",
            "example.com:443.allowed.com",
            "exa mple.com",
            "example.com\\u0000",
            "example\\u0007.com",
            "user@example.com",
            "*.*.com",
            "[::1",
        ];
        for entry in entries {
            refused(&area, &table(&format!("\"allowedDomains\": [\n    \"{entry}\"\n  ]"), ""), ":3:5");
        }
    });
}

#[test]
fn a_path_entry_that_cannot_be_is_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for entry in ["", "/a\\u0000b", "*.key/", "**/secret/"] {
            refused(&area, &table("", &format!("\"denyRead\": [\n    \"{entry}\"\n  ]")), ":4:5");
        }
    });
}

#[test]
fn all_faults_of_a_file_are_listed_at_once() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let text = "{\n  \"network\": {\n    \"allowedDomains\": [\"*\", \"fine.example.com\", \"https://x\"]\n  },\n  \"filesystem\": { \"denyRead\": [\"\"] },\n  \"unheardOf\": 1\n}\n";
        let outcome = run_with(&area, text);
        outcome.assert_refused();
        for place in [":3:24", ":3:49", ":5:32", ":6:3"] {
            assert!(outcome.err().contains(&format!("by-hand.json{place}")), "no {place}\n{outcome}");
        }
        assert!(outcome.err().matches("srt: cannot ").count() >= 4, "{outcome}");
    });
}

#[test]
fn keys_that_cannot_be_served_are_refused_by_name() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let cases = [
            "{ \"network\": { \"tlsTerminate\": {} } }",
            "{ \"credentials\": { \"envVars\": [{ \"name\": \"TOKEN\", \"mode\": \"mask\" }] } }",
        ];
        for (text, key) in cases.iter().zip(["tlsTerminate", "mask"]) {
            refused(&area, text, ":1:");
            run_with(&area, text).assert_err_has(key);
        }
    });
}

#[test]
fn keys_of_other_platforms_are_accepted_and_said_under_debug() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let text = "{ \"filesystem\": { \"allowWrite\": [\".\"] }, \"allowAppleEvents\": true, \"ripgrep\": { \"command\": \"rg\" }, \"bwrapPath\": \"/usr/bin/bwrap\", \"allowPty\": true }";
        let file = area.file("outside/by-hand.json", text).display().to_string();
        let quiet = area.bare_srt().args(&["run", "--settings", &file, "--", "true"]).run();
        assert_eq!(quiet.assert_code(0).err(), "", "{quiet}");
        let debug = area.bare_srt().args(&["run", "--debug", "--settings", &file, "--", "true"]).run();
        debug.assert_code(0).assert_err_has("allowAppleEvents").assert_err_has("bwrapPath");
    });
}

#[test]
fn comments_and_trailing_commas_are_welcome() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let text = "{\n  // one line\n  \"filesystem\": { /* inside */ \"allowWrite\": [\".\",], },\n}\n";
        run_with(&area, text).assert_code(0);
        assert!(area.has("work/mark"));
    });
}

/// Fifty megabytes: refused for its size before it is read as JSON. The time limit is only there so that a hang fails.
#[test]
fn an_enormous_file_is_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let mut text = String::from("{ \"network\": { \"allowedDomains\": [\n");
        while text.len() < 50 * 1024 * 1024 {
            for number in 0..10_000 {
                let _infallible = writeln!(text, "\"host-{number}.example.com\",");
            }
        }
        text += "\"last.example.com\"] } }";
        refused(&area, &text, "");
    });
}

#[test]
fn a_deeply_nested_file_is_refused_and_no_stack_overflows() {
    for_each_identity(|who| {
        let area = Area::new(who);
        refused(&area, &"[".repeat(200_000), "");
        refused(&area, &"{\"network\":".repeat(100_000), "");
    });
}

#[test]
fn an_invalid_default_file_is_refused_and_a_valid_one_is_used() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("home/.srt-settings.json", "{ \"nonsense\": 1 }");
        area.bare_srt().args(&["touch", "mark"]).run().assert_refused().assert_err_has(".srt-settings.json:1:3");
        assert!(!area.has("work/mark"));
        area.file("home/.srt-settings.json", &area.rules().text());
        area.bare_srt().args(&["touch", "mark"]).run().assert_code(0);
        assert!(area.has("work/mark"));
    });
}

#[test]
fn a_file_of_the_working_directory_is_not_read_unless_named() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for name in [".srt-settings.json", ".srt.json", "srt.json"] {
            area.file(&format!("work/{name}"), "{ broken");
        }
        area.bare_srt().args(&["true"]).run().assert_code(0);
    });
}

#[test]
fn without_any_settings_nothing_of_home_is_written_and_no_host_is_reached() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), srt_tests::server::Server::http());
        area.file("home/file", "kept");
        let probe = srt_tests::probe().display().to_string();
        area.bare_srt().args(&[&probe, "append", &area.text("home/file")]).run().assert_prints_one_of(&["EROFS", "EACCES", "EPERM"]);
        area.bare_srt().args(&[&probe, "connect-get", &server.name()]).run().assert_out_has("403");
        assert_eq!((server.accepted(), area.content("home/file")), (0, "kept".into()));
    });
}

#[test]
fn control_characters_of_a_name_are_not_shown_raw() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = run_with(&area, &table("", "\"denyRead\": [\"/a\\u001b[2Jb\\u0000\"]"));
        outcome.assert_refused();
        assert!(!outcome.err().contains('\u{1b}') && !outcome.err().contains('\0'), "{outcome}");
    });
}

#[test]
fn gaps_with_unknown_names_are_refused() {
    for_each_identity(|who| refused(&Area::new(who), "{ \"acceptGaps\": [\"no-such-gap\"] }", ":1:"));
}

#[test]
fn lifting_a_protection_that_does_not_exist_is_refused() {
    for_each_identity(|who| refused(&Area::new(who), "{ \"unprotect\": [\"no-such-row\"] }", ":1:"));
}

/// As in `srt -s <(jq … settings.json) COMMAND`.
#[test]
fn settings_from_a_pipe_of_the_shell_are_read() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display().to_string();
        let settings = area.settings(&area.rules());
        let from_pipe = format!("srt=$1; shift; exec \"$srt\" -s <(cat {settings}) \"$@\"");
        let program = |words: &[&str]| area.bare_srt().args(words).through_shell(&from_pipe);
        program(&[&probe, "create", &area.text("work/made")]).run().assert_prints("ok").assert_code(0);
        program(&["run", "--", &probe, "create", &area.text("outside/made")]).run().assert_prints_one_of(&["EROFS", "EACCES", "EPERM"]);
        program(&["check", "write", &area.text("outside/made")]).run().assert_code(1);
        // The pipe is srt's own business.
        program(&[&probe, "fds"]).run().assert_prints("0 1 2");
        assert!(area.has("work/made") && !area.has("outside/made"));
    });
}

/// Each would be a rule about a path that never exists, and protect nothing.
#[test]
fn path_entries_that_were_surely_meant_otherwise_are_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for entry in ["$HOME/x", "/a/$USER", "file:///x", "https://example.com/", " x", "x ", "\\tx"] {
            for key in ["denyRead", "allowRead", "denyWrite", "allowWrite"] {
                refused(&area, &table("", &format!("\"{key}\": [\"{entry}\"]")), ":3:");
            }
        }
        area.bare_srt().args(&["--deny-read", "$HOME/x", "touch", "mark"]).run().assert_refused().assert_err_has("--deny-read");
        assert!(!area.has("work/mark"));
        // The names themselves can be meant.
        let literal = area.file("work/$HOME", "secret").display().to_string();
        let rules = area.rules().set("filesystem", "denyRead", serde_json::json!([{ "path": literal, "literal": true }]));
        area.probe(&rules, &["read", &literal]).run().assert_prints("EACCES");
    });
}

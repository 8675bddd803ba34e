//! Command lines and exit status.

use srt_tests::{Area, for_each_identity};

#[test]
fn the_exit_status_is_the_commands() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for code in [0, 1, 2, 42, 125, 126, 127, 128, 255] {
            area.shell(&area.rules(), &format!("exit {code}")).run().assert_code(code);
        }
    });
}

#[test]
fn a_command_that_does_not_exist_gives_127() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for name in ["no-such-command-anywhere", "/no/such/file", "./missing"] {
            let outcome = area.srt(&area.rules()).args(&[name]).run();
            outcome.assert_code(127).assert_err_has("srt: cannot ").assert_err_has(name);
        }
    });
}

#[test]
fn a_command_that_cannot_be_executed_gives_126() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/plain", "text");
        for name in [area.text("work/plain"), "./plain".into(), area.text("work")] {
            area.srt(&area.rules()).args(&[&name]).run().assert_code(126).assert_err_has("srt: cannot ").assert_err_has(&name);
        }
    });
}

/// Whatever follows the command's first word is the command's, with and without `run` and `--`.
#[test]
fn arguments_reach_the_command_untouched() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        let probe = srt_tests::probe().display().to_string();
        let arguments = ["-x", "--y", "a b", "", "*", "$HOME", "--", "-c", "--settings", "--version", "-h", "'\"\\", "ä\u{200b}", "-"];
        let expected = format!("{arguments:?}");
        for prefix in [
            &["run", "--settings", &settings, "--"][..],
            &["run", "--settings", &settings],
            &["--settings", &settings, "--"],
            &["--settings", &settings],
            &["-s", &settings],
            &["--config", &settings],
        ] {
            area.bare_srt().args(prefix).args(&[&probe, "args"]).args(&arguments).run().assert_prints(&expected).assert_code(0);
        }
    });
}

#[test]
fn one_argument_with_spaces_is_shell_text() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        area.bare_srt().args(&["--settings", &settings, "echo one; echo two | tr t T"]).run().assert_prints("one\nTwo");
        area.bare_srt().args(&["--settings", &settings, "exit 9 "]).run().assert_code(9);
    });
}

#[test]
fn the_option_c_takes_shell_text() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        area.bare_srt().args(&["--settings", &settings, "-c", "echo $((6*7)) && exit 3"]).run().assert_prints("42").assert_code(3);
        area.bare_srt().args(&["run", "--settings", &settings, "-c", "true"]).run().assert_code(0);
    });
}

#[test]
fn a_file_whose_name_is_a_subcommand_can_be_run_after_two_dashes() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        let bin = area.dir("work/bin");
        area.link("/bin/echo", "work/bin/check");
        let path = format!("{}:/usr/bin:/bin", bin.display());
        area.bare_srt().args(&["run", "--settings", &settings, "--", "check", "mine"]).env("PATH", path).run().assert_prints("mine");
    });
}

#[test]
fn a_wrong_command_line_is_refused_and_runs_nothing() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        let lines: &[&[&str]] = &[
            &[],
            &["run"],
            &["run", "--settings", &settings],
            &["run", "--settings", &settings, "--"],
            &["run", "--settings"],
            &["run", "--no-such-option", "--", "touch", "mark"],
            &["--no-such-option", "touch", "mark"],
            &["run", "--settings", &settings, "--settings", "also", "--", "touch", "mark"],
            &["run", "--profile", "no-such-profile", "--", "touch", "mark"],
            &["run", "--settings", &settings, "--pass-fd", "x", "--", "touch", "mark"],
            &["run", "--settings", &settings, "--pass-fd", "77", "--", "touch", "mark"],
            &["run", "--settings", &settings, "-c", "", "--"],
            &["run", "--settings", &settings, "--violations", "loudly", "--", "touch", "mark"],
            &["run", "--settings", &settings, ""],
            &["check", "read"],
            &["check", "dance", "x"],
            &["profiles", "no-such-profile"],
        ];
        let mut wrong = String::new();
        for line in lines {
            let outcome = area.bare_srt().args(line).run();
            let said = !outcome.err().is_empty() && !outcome.err().contains("panicked");
            if outcome.code() != Some(125) || !said || area.has("work/mark") {
                wrong += &format!("{line:?}\n{outcome}\n\n");
            }
        }
        assert!(wrong.is_empty(), "not refused with 125, or without a message, or the command ran:\n{wrong}");
    });
}

#[test]
fn rules_on_the_command_line_join_those_of_the_file() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "kept");
        area.dir("work/hole");
        let settings = area.settings(&area.rules());
        let probe = srt_tests::probe().display().to_string();
        let run = |options: &[&str], operation: &[&str]| {
            area.bare_srt().args(&["run", "--settings", &settings]).args(options).args(&["--", &probe]).args(operation).run()
        };
        run(&["--allow-write", &area.text("outside")], &["append", &area.text("outside/file")]).assert_prints("ok");
        run(&["--deny-write", &area.text("work/hole")], &["create", &area.text("work/hole/new")])
            .assert_prints_one_of(&["EROFS", "EACCES", "EPERM"]);
        run(&["--deny-read", &area.text("outside/file")], &["cat", &area.text("outside/file")]).assert_prints("EACCES");
        run(&["--deny-read", &area.text("outside"), "--allow-read", &area.text("outside/file")], &["cat", &area.text("outside/file")])
            .assert_prints("keptx");
    });
}

#[test]
fn domains_on_the_command_line_join_those_of_the_file() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), srt_tests::server::Server::http());
        let settings = area.settings(&area.rules());
        let probe = srt_tests::probe().display().to_string();
        let run = |options: &[&str]| {
            area.bare_srt().args(&["run", "--settings", &settings]).args(options).args(&["--", &probe, "connect-get", &server.name()]).run()
        };
        run(&["--allow-domain", "localhost"]).assert_out_has("200 OK");
        run(&["--allow-domain", "localhost", "--deny-domain", &server.name()]).assert_out_has("403");
    });
}

#[test]
fn version_and_help_go_to_standard_output() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for option in ["--version", "-V"] {
            let version = area.bare_srt().args(&[option]).run();
            assert!(version.assert_code(0).out().starts_with("srt "), "{version}");
        }
        for line in [&["--help"][..], &["-h"], &["run", "--help"], &["check", "--help"]] {
            area.bare_srt().args(line).run().assert_code(0).assert_out_has("--settings");
        }
    });
}

#[test]
fn standard_output_belongs_to_the_command() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        let probe = srt_tests::probe().display().to_string();
        let outcome =
            area.bare_srt().args(&["run", "--debug", "--settings", &settings, "--", &probe, "connect-get", "denied.test:443"]).run();
        assert!(outcome.out().starts_with("HTTP/1.1 403"), "{outcome}");
        outcome.assert_one_event("denied.test:443", "net.");
    });
}

#[test]
fn a_quiet_run_says_nothing_on_standard_error() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = area.shell(&area.rules(), "echo fine").run();
        assert_eq!((outcome.out().as_str(), outcome.err().as_str()), ("fine", ""), "{outcome}");
    });
}

#[test]
fn violations_can_be_json_or_off_or_in_a_file() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        let probe = srt_tests::probe().display().to_string();
        let run = |options: &[&str]| {
            area.bare_srt()
                .args(&["run", "--settings", &settings])
                .args(options)
                .args(&["--", &probe, "connect-get", "denied.test:443"])
                .run()
        };
        run(&["--violations", "off"]).assert_no_event("denied.test:443");
        one_json_event(&run(&["--violations", "json"]).err());
        let file = area.text("outside/events.jsonl");
        run(&["--violations-file", &file]);
        one_json_event(&area.content("outside/events.jsonl"));
    });
}

/// The layout of DESIGN section 8.
fn one_json_event(text: &str) {
    let events: Vec<serde_json::Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(events.len(), 1, "{text}");
    let event = &events[0];
    assert_eq!(event["v"], 1, "{text}");
    assert_eq!(event["target"], "denied.test:443", "{text}");
    assert_eq!(event["count"], 1, "{text}");
    assert_eq!(event["source"], "proxy", "{text}");
    for key in ["time", "kind", "operation", "allow"] {
        assert!(event[key].as_str().is_some_and(|value| !value.is_empty()), "{key} in {text}");
    }
    assert!(event["rule"]["id"].is_string() && event["rule"]["origin"].is_string(), "{text}");
}

#[test]
fn arguments_may_be_any_bytes_and_long() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let program = area.shell(&area.rules(), "printf %s \"$1\" | od -An -tx1").args(&["x"]);
        program.through_shell(r#"exec "$@" $'a\xff\x01b'"#).run().assert_prints("61 ff 01 62");
        let long = "x".repeat(120_000);
        area.shell(&area.rules(), "echo ${#1}").args(&["x", &long]).run().assert_prints("120000");
    });
}

/// The log is opened by srt itself, under the lowest free number: naming that number must not hand it over.
#[test]
fn a_closed_descriptor_cannot_be_passed_even_where_srt_opens_a_file_of_its_own() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let (settings, log) = (area.settings(&area.rules()), area.text("outside/log"));
        let words = ["run", "--settings", &settings, "--violations-file", &log, "--pass-fd", "3", "--", "touch", "mark"];
        area.bare_srt().args(&words).through_shell("exec \"$@\" 3>&-").run().assert_refused().assert_err_has("descriptor 3");
    });
}

/// The command of an earlier run could have put a link there, for this run to follow.
#[test]
fn a_violations_file_where_the_command_may_write_is_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/victim", "kept");
        area.link("../outside/victim", "work/link");
        area.link("../work/through", "outside/into");
        let settings = area.settings(&area.rules());
        let before = area.snapshot();
        for file in ["work/log", "work/link", "outside/into", "work/../work/log"] {
            let program =
                area.bare_srt().args(&["run", "--settings", &settings, "--violations-file", &area.text(file), "--", "touch", "mark"]);
            program.run().assert_refused().assert_err_has(&area.text(file)).assert_err_has("hint: ");
        }
        before.assert_unchanged(area.root());
    });
}

#[test]
fn the_three_ways_of_violations_write_what_they_say() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        let probe = srt_tests::probe().display().to_string();
        let run = |options: &[&str]| {
            let program = area.bare_srt().args(&["run", "--settings", &settings]).args(options);
            let outcome = program.args(&["--", &probe, "connect-get", "denied.test:443"]).run();
            outcome.assert_out_has("403");
            outcome
        };
        assert_eq!(run(&["--violations", "off"]).err(), "");
        let json = run(&["--violations", "json"]).err();
        one_json_event(&json);
        assert_eq!(json.lines().count(), 1, "nothing but the event: {json}");
        let file = area.text("outside/events");
        let outcome = run(&["--violations", "off", "--violations-file", &file]);
        assert_eq!(outcome.err(), "");
        one_json_event(&area.content("outside/events"));
        // A second run's events take the place of the first one's, and the summary is shown beside the file.
        run(&["--violations-file", &file]).assert_one_event("denied.test:443", "net.");
        one_json_event(&area.content("outside/events"));
    });
}

/// What is hidden says nothing about the programs in the other directories.
#[test]
fn a_hidden_directory_in_path_gives_127_for_an_unknown_command() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("home/bin/tool", "#!/bin/sh\n");
        let rules = area.rules().deny_read(area.text("home/bin"));
        let path = format!("{}:/usr/bin:/bin", area.text("home/bin"));
        area.srt(&rules).args(&["no-such-command-anywhere"]).env("PATH", &path).run().assert_code(127);
        area.srt(&rules).args(&["true"]).env("PATH", &path).run().assert_code(0);
    });
}

/// `srt -- top` runs top(1), not the subcommand.
#[test]
fn after_two_dashes_a_subcommands_name_is_a_program() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for name in ["run", "explain", "check", "doctor", "profiles", "completions", "violations", "top", "monitor"] {
            let program = area.file(&format!("bin/{name}"), "#!/bin/sh\necho ran $*\n");
            std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is ours");
            let path = format!("{}:/usr/bin:/bin", area.text("bin"));
            let srt = || area.bare_srt().args(&["--settings", &area.settings(&area.rules())]).env("PATH", &path);
            srt().args(&["--", name, "--once"]).run().assert_prints("ran --once").assert_code(0);
        }
    });
}

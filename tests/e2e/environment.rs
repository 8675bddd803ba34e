//! Variables and the working directory.

use serde_json::json;
use srt_tests::{Area, for_each_identity};

#[test]
fn the_callers_variables_are_inherited() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&area.rules(), &["env", "OF_THE_CALLER"]).env("OF_THE_CALLER", "a b\tc").run().assert_prints("a b\tc");
        area.shell(&area.rules(), "echo $HOME").run().assert_prints(&area.text("home"));
    });
}

#[test]
fn variables_denied_by_the_settings_are_not_handed_over() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules().set("", "credentials", json!({ "envVars": [{ "name": "API_TOKEN", "mode": "deny" }] }));
        let script = "env; cat /proc/self/environ /proc/1/environ 2>/dev/null; echo end";
        area.shell(&area.rules(), script).env("API_TOKEN", "hunter2").run().assert_out_has("hunter2");
        let outcome = area.shell(&rules, script).env("API_TOKEN", "hunter2").run();
        assert!(outcome.assert_out_has("end").out().find("hunter2").is_none(), "{outcome}");
    });
}

#[test]
fn the_working_directory_is_kept() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let deep = area.dir("work/a b/c");
        area.shell(&area.rules(), "pwd").cwd(&deep).run().assert_prints(&deep.display().to_string());
        // Outside every write root it is kept too, read-only.
        area.shell(&area.rules(), "pwd").cwd(area.path("outside")).run().assert_prints(&area.text("outside"));
    });
}

#[test]
fn the_option_for_a_directory_changes_it_for_command_and_relative_settings() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.dir("outside/there");
        let settings = area.settings(&area.rules().allow_write("."));
        for option in ["-C", "--cwd"] {
            let program = area.bare_srt().args(&[
                "run",
                "--settings",
                &settings,
                option,
                &area.text("outside/there"),
                "--",
                "sh",
                "-c",
                "pwd; echo x >made",
            ]);
            program.run().assert_prints(&area.text("outside/there")).assert_code(0);
            assert_eq!(area.content("outside/there/made"), "x\n");
        }
    });
}

#[test]
fn a_missing_directory_is_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        let missing = area.text("nowhere");
        area.bare_srt()
            .args(&["run", "--settings", &settings, "-C", &missing, "--", "true"])
            .run()
            .assert_refused()
            .assert_err_has(&missing);
    });
}

#[test]
fn a_home_that_is_not_set_is_no_panic() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = area.shell(&area.rules(), "echo ran").through_shell("unset HOME TMPDIR PATH LANG TERM; exec \"$@\"").run();
        if outcome.code() != Some(0) {
            outcome.assert_refused();
        } else {
            outcome.assert_prints("ran");
        }
    });
}

#[test]
fn relative_entries_of_a_settings_file_start_at_the_working_directory() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = srt_tests::Rules::new().allow_write(".").deny_write("hole");
        area.dir("work/hole");
        area.probe(&rules, &["create", &area.text("work/new")]).run().assert_prints("ok");
        area.probe(&rules, &["create", &area.text("work/hole/new")]).run().assert_prints_one_of(&["EROFS", "EACCES", "EPERM"]);
    });
}

#[test]
fn limits_and_umask_are_the_callers() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = "umask; ulimit -a; ulimit -Ha; nice";
        for redirect in ["exec \"$@\"", "umask 027; ulimit -n 256; ulimit -c 0; ulimit -f 1000; exec \"$@\""] {
            let outside = area.outside("/bin/bash").args(&["-c", script]).through_shell(redirect).run().assert_code(0).out();
            area.srt(&area.rules()).args(&["bash", "-c", script]).through_shell(redirect).run().assert_prints(&outside);
        }
    });
}

#[test]
fn a_working_directory_that_was_removed_is_no_panic() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = area.shell(&area.rules(), "echo ran").through_shell("mkdir gone; cd gone; rmdir ../gone; exec \"$@\"").run();
        if outcome.code() != Some(0) {
            outcome.assert_refused();
        }
    });
}

//! What is told of denials: live, in the store, as suggestions.

use srt_tests::{Area, Program, Rules, for_each_identity};

/// `srt violations` of the area's owner.
fn listed(area: &Area, options: &[&str]) -> srt_tests::Outcome {
    area.bare_srt().env("XDG_STATE_HOME", "").args(&["violations"]).args(options).run()
}

/// A run that is denied these hosts.
fn denied(area: &Area, rules: &Rules, targets: &[&str]) -> srt_tests::Outcome {
    let probe = srt_tests::probe().display().to_string();
    let script: String = targets.iter().map(|target| format!("{probe} connect-get {target}; ")).collect();
    shell(area, rules, &script)
}

/// With the usual place for what is kept, below the home directory.
fn shell(area: &Area, rules: &Rules, script: &str) -> srt_tests::Outcome {
    area.shell(rules, script).env("XDG_STATE_HOME", "").run()
}

const STORE: &str = "home/.local/state/srt/violations";

#[test]
fn a_run_without_denials_leaves_nothing() {
    for_each_identity(|who| {
        let area = Area::new(who);
        shell(&area, &area.rules(), "true").assert_code(0);
        assert!(!area.has("home/.local"));
        listed(&area, &[]).assert_code(0).assert_prints("no run was denied anything");
        assert!(!area.has("home/.local"), "listing makes nothing");
    });
}

#[test]
fn the_last_runs_are_listed_and_forgotten() {
    for_each_identity(|who| {
        let area = Area::new(who);
        denied(&area, &area.rules(), &["one.test:443", "one.test:443"]);
        denied(&area, &area.rules(), &["two.test:443"]);
        let all = listed(&area, &[]).assert_code(0).out();
        assert!(all.find("one.test:443") < all.find("two.test:443") && all.contains(", 2 times"), "{all}");
        let last = listed(&area, &["--last", "1"]).out();
        assert!(!last.contains("one.test") && last.contains("two.test"), "{last}");
        let id = all.split_whitespace().next().expect("a run has a name").to_owned();
        let one = listed(&area, &["--run", &id]).out();
        assert!(one.contains("one.test") && !one.contains("two.test"), "{one}");
        let json = listed(&area, &["--json"]).out();
        let runs: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        assert_eq!((runs.len(), runs[0]["events"][0]["count"].as_u64()), (2, Some(2)));
        listed(&area, &["--run", "ffffffff"]).assert_refused();
        listed(&area, &["--clear"]).assert_prints("2 runs forgotten");
        listed(&area, &[]).assert_prints("no run was denied anything");
    });
}

#[test]
fn what_is_kept_is_for_the_user_alone() {
    use std::os::unix::fs::MetadataExt;
    for_each_identity(|who| {
        let area = Area::new(who);
        denied(&area, &area.rules(), &["one.test:443"]);
        for (path, mode) in [("home/.local/state/srt", 0o700), (STORE, 0o700)] {
            assert_eq!(area.path(path).metadata().expect("it was made").mode() & 0o777, mode, "{path}");
        }
        for entry in std::fs::read_dir(area.path(STORE)).expect("the store is a directory") {
            let found = entry.expect("an entry can be read").metadata().expect("a file has metadata");
            assert_eq!((found.mode() & 0o777, found.uid()), (0o600, who.uid));
        }
    });
}

/// Neither by a write root around it, nor by an entry that names it, nor without rules on files.
#[test]
fn the_sandbox_does_not_reach_the_store() {
    for_each_identity(|who| {
        let area = Area::new(who);
        denied(&area, &area.rules(), &["one.test:443"]);
        let store = area.text(STORE);
        let file = std::fs::read_dir(area.path(STORE)).expect("the store is there").next().expect("a run is kept").expect("it can be read");
        let file = file.path().display().to_string();
        let before = std::fs::read(&file).expect("the user may read it");
        let around = area.rules().allow_write(area.text("home"));
        let named = around.clone().allow_write(&store).allow_read(&store);
        let open = Rules::new().set("filesystem", "disabled", serde_json::json!(true));
        area.outside("/bin/cat").args(&[&file]).run().assert_code(0).assert_out_has("one.test");
        for rules in [around, named, open] {
            for script in [
                format!("cat {file}"),
                format!("ls {store}"),
                format!("echo x >{store}/x"),
                format!("echo x >{file}"),
                format!("rm -r {store}"),
            ] {
                let outcome = shell(&area, &rules, &script);
                assert!(outcome.code() != Some(0) && !outcome.out().contains("one.test"), "{script}: {outcome}");
            }
        }
        // Besides, there is what srt keeps of these runs.
        assert_eq!(std::fs::read(&file).expect("it is still there"), before);
        let names = std::fs::read_dir(&store).expect("it is still there").flatten().map(|entry| entry.file_name());
        assert!(names.into_iter().all(|name| name.to_string_lossy().ends_with(".jsonl")));
    });
}

#[test]
fn a_planted_link_leads_the_store_nowhere() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.dir("home/.local");
        let target = area.dir("outside/target").display().to_string();
        shell(
            &area,
            &area.rules().allow_write(area.text("home")),
            &format!("ln -s {target} ~/.local/state; exec {} connect-get a.test:1", srt_tests::probe().display()),
        );
        assert!(area.has("home/.local/state"), "the link was made");
        assert_eq!(std::fs::read_dir(area.path("outside/target")).expect("it is a directory").count(), 0);
    });
}

#[test]
fn a_suggestion_can_be_used_as_settings_and_names_no_more_than_was_tried() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules().deny_domain("ads.test");
        denied(&area, &rules, &["one.test:443", "ads.test:443", "two.test:80"]);
        let text = listed(&area, &["--suggest"]).assert_code(0).out();
        let file = area.file("outside/suggested.json", &text);
        let check = |target: &str| {
            area.bare_srt().args(&["check", "--settings", &file.display().to_string(), "connect", target]).run().code() == Some(0)
        };
        assert!(check("one.test:443") && check("two.test:80"), "{text}");
        assert!(!check("one.test:80") && !check("ads.test:443") && !check("sub.one.test:443"), "{text}");
        assert!(text.contains("// ") && text.contains("net.deny.0"), "{text}");
    });
}

fn live(area: &Area, script: &str) -> Program {
    area.bare_srt().args(&["run", "--settings", &area.settings(&area.rules()), "--violations", "live", "--", "sh", "-c", script])
}

#[test]
fn live_lines_come_while_the_command_runs() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display();
        let log = area.text("outside/stderr");
        let script = format!("{probe} connect-get one.test:443 >&2; while [ ! -e go ]; do sleep 0.05; done");
        let running = live(&area, &script).through_shell(&format!("exec \"$@\" 2>{log}")).spawn();
        let start = std::time::Instant::now();
        while !area.content("outside/stderr").contains("srt: deny network-outbound one.test:443") {
            assert!(start.elapsed() < srt_tests::patience(30), "{}", area.content("outside/stderr"));
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        area.file("work/go", "");
        running.wait().assert_code(0);
        assert!(area.content("outside/stderr").contains("srt: 1 denied operation\n"));
    });
}

#[test]
fn live_lines_are_few_and_the_rest_is_counted() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display();
        let script = format!("i=0; while [ $i -lt 60 ]; do {probe} connect-get $i.test:443 >/dev/null 2>&1 & i=$((i+1)); done; wait");
        let outcome = live(&area, &script).run();
        let lines = outcome.err().lines().filter(|line| line.starts_with("srt: deny ")).count();
        assert!((1..=50).contains(&lines), "{lines}\n{outcome}");
        outcome.assert_err_has(&format!("srt: {} more denials were not shown", 60 - lines)).assert_err_has("srt: 60 denied operations");
    });
}

#[test]
fn xdg_state_home_says_where() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.shell(&area.rules(), &format!("{} connect-get a.test:1", srt_tests::probe().display())).run();
        assert_eq!(std::fs::read_dir(area.state().join("srt/violations")).expect("it was made there").count(), 1);
        assert!(!area.has("home/.local"));
    });
}

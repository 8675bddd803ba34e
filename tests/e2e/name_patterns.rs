//! Which names a pattern of `denyWrite` or `allowWrite` is about: the syntax of the reference, on names that do not exist yet.

use serde_json::{Value, json};
use srt_tests::{Area, Identity, Rules, each, for_each_identity};

/// An entry, names below `work/` that it covers, and names that it does not.
type Pattern = (&'static str, &'static [&'static str], &'static [&'static str]);

const PATTERNS: &[Pattern] = &[
    ("*.key", &["a.key", ".key", "x.y.key"], &["a.keys", "sub/a.key", "key"]),
    ("**/.env", &[".env", "sub/.env", "sub/deep/.env"], &[".envrc", "x.env", "sub/env"]),
    ("secret?", &["secret1", "secrets"], &["secret", "secret12", "Secret1"]),
    ("log[0-9]", &["log5", "log0"], &["logs", "log55", "log"]),
    ("[!a]", &["a", "!"], &["b"]),
    ("build/**", &["build", "build/x", "build/sub/x"], &["builds", "sub/build"]),
    ("s*b/c", &["sub/c"], &["sub/d", "c"]),
    ("**/deep/*", &["sub/deep/x"], &["sub/x", "x"]),
    ("x{1,2}", &["x{1,2}"], &["x1", "x2"]),
    ("[z", &["[z"], &["z"]),
    ("a**c", &["ac", "abc"], &["a", "c"]),
    ("sub/**/end", &["sub/end", "sub/deep/end"], &["end", "sub/ends"]),
    (".*", &[".hidden"], &["shown", "sub/.hidden"]),
    ("it's \"odd\" *", &["it's \"odd\" name"], &["its odd name"]),
];

fn furnish(area: &Area) {
    area.dir("work/sub/deep");
}

/// Tries to make each name; what the host holds afterwards is compared with the two lists.
#[track_caller]
fn assert_made(area: &Area, rules: &Rules, made: &[&str], refused: &[&str]) {
    let text = |names: &[&str]| names.iter().map(|name| format!("\"{}\"", name.replace('"', "\\\""))).collect::<Vec<_>>().join(" ");
    let probe = srt_tests::probe().display().to_string();
    let script = format!(
        "for name in {} {}; do case $name in build/*) {probe} mkdir build;; esac >/dev/null
        printf '%s ' \"$name\"; {probe} create \"$name\"; done; true",
        text(made),
        text(refused)
    );
    let outcome = area.shell(rules, &script).run();
    for name in made {
        outcome.assert_out_has(&format!("{name} ok"));
        assert!(area.has(&format!("work/{name}")), "{name} is not about the rule\n{outcome}");
    }
    for name in refused {
        assert!(!area.has(&format!("work/{name}")), "{name} was made\n{outcome}");
        let parent_missing = name.starts_with("build/") && outcome.out().contains(&format!("{name} ENOENT"));
        if !parent_missing {
            outcome.assert_out_has(&format!("{name} EPERM"));
        }
    }
}

fn with_entry(area: &Area, list: &str, entry: Value) -> Rules {
    area.rules().set("filesystem", list, json!([entry]))
}

#[test]
fn a_pattern_of_deny_write_covers_the_names_of_the_reference() {
    for_each_identity(|who: Identity| {
        each(PATTERNS, |(entry, covered, free)| {
            let area = Area::new(who);
            furnish(&area);
            // Relative patterns are anchored at the directory that srt is started in.
            assert_made(&area, &with_entry(&area, "denyWrite", json!(entry)), free, covered);
            let area = Area::new(who);
            furnish(&area);
            assert_made(&area, &with_entry(&area, "denyWrite", json!(format!("{}/{entry}", area.text("work")))), free, covered);
        });
    });
}

#[test]
fn a_literal_entry_covers_its_own_name_only() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = with_entry(&area, "denyWrite", json!({ "path": format!("{}/a*b", area.text("work")), "literal": true }));
        assert_made(&area, &rules, &["axb", "ab"], &["a*b"]);
    });
}

#[test]
fn a_home_directory_and_a_variable_in_an_entry_mean_the_callers() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules().allow_write(area.text("home")).deny_write("~/*.pem").deny_write("${HOME}/token");
        for name in ["x.pem", "token"] {
            area.probe(&rules, &["create", &area.text(&format!("home/{name}"))]).run().assert_prints("EPERM");
        }
        area.probe(&rules, &["create", &area.text("home/x.pub")]).run().assert_prints("ok");
    });
}

#[test]
fn what_lies_below_a_denied_name_is_denied_with_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/there/plain", "kept");
        let rules = area.rules().deny_write(area.text("work/t*/new"));
        let script = "mkdir there/new; mkdir -p other/new/x; mkdir tmp; mkdir tmp/new; mv tmp there/new; echo end";
        area.shell(&rules, script).run().assert_prints("end");
        assert!(!area.has("work/there/new") && !area.has("work/tmp/new") && area.has("work/other/new/x"));
    });
}

/// Operation and answer where `allowWrite` is `work/out/*.log` and nothing else.
const ALLOWED_PATTERN: &[(&str, &str)] = &[
    ("create out/x.log", "ok"),
    ("append out/old.log", "ok"),
    ("truncate out/old.log", "ok"),
    ("chmod 600 out/old.log", "ok"),
    ("rename out/old.log out/new.log", "ok"),
    ("unlink out/old.log", "ok"),
    ("symlink anywhere out/link.log", "ok"),
    ("link out/old.log out/second.log", "ok"),
    ("create out/x.txt", "EPERM"),
    ("create out/sub/x.log", "EPERM"),
    ("create x.log", "EPERM|EROFS|EACCES"),
    ("append out/old.txt", "EPERM"),
    ("truncate out/old.txt", "EPERM"),
    ("chmod 600 out/old.txt", "EPERM"),
    ("utimens out/old.txt", "EPERM"),
    ("unlink out/old.txt", "EPERM"),
    ("mkdir out/dir", "EPERM"),
    ("mknod fifo out/fifo", "EPERM"),
    ("rename out/old.log out/old.bak", "EPERM"),
    ("rename out/old.txt out/stolen.log", "EPERM"),
    ("rename out/sub out/sub.log", "EPERM"),
    ("link out/old.txt out/stolen.log", "EPERM"),
    ("exchange out/old.txt out/old.log", "EPERM"),
    ("chmod 700 out", "EPERM|EROFS|EACCES"),
    ("rename out out2", "EPERM|EROFS|EACCES|EBUSY"),
    ("by-descriptor fchmod out/old.txt", "EPERM"),
    ("by-descriptor proc-reopen out/old.txt", "EPERM"),
    ("append out/leads-out.log", "EPERM|EROFS|EACCES"),
    ("append out/leads-aside.log", "EPERM"),
];

fn furnish_out(area: &Area) {
    for name in ["old.log", "old.txt", "sub/inner"] {
        area.file(&format!("work/out/{name}"), "kept");
    }
    area.file("outside/file", "kept");
    area.link("../../outside/file", "work/out/leads-out.log");
    area.link("old.txt", "work/out/leads-aside.log");
}

#[test]
fn a_pattern_of_allow_write_allows_what_it_matches_and_nothing_beside() {
    for_each_identity(|who| {
        each(ALLOWED_PATTERN, |(line, expected)| {
            let words: Vec<&str> = line.split(' ').collect();
            let control = Area::new(who);
            furnish_out(&control);
            control.probe_outside(&words).run().assert_prints("ok");
            let area = Area::new(who);
            furnish_out(&area);
            let rules = Rules::new().allow_write(area.text("work/out/*.log"));
            let before = area.snapshot();
            let outcome = area.probe(&rules, &words).run();
            outcome.assert_prints_one_of(&expected.split('|').collect::<Vec<_>>());
            if *expected == "ok" {
                assert!(before != area.snapshot(), "{line} did not reach the host");
            } else {
                before.assert_unchanged(area.root());
            }
        });
    });
}

#[test]
fn a_missing_file_of_allow_write_can_be_made_replaced_and_removed_and_nothing_beside() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/beside", "kept");
        let rules = Rules::new().allow_write(area.text("work/state.json"));
        let run = |words: &[&str]| area.probe(&rules, words).run();
        run(&["create", "state.json"]).assert_prints("ok");
        assert_eq!(area.content("work/state.json"), "x");
        run(&["append", "state.json"]).assert_prints("ok");
        // An editor's save by rename needs a second name, which the settings do not allow.
        run(&["create", "state.json.tmp"]).assert_prints_one_of(&["EPERM", "EROFS", "EACCES", "EXDEV", "EBUSY"]);
        run(&["rename", "beside", "state.json"]).assert_prints_one_of(&["EPERM", "EROFS", "EACCES", "EXDEV", "EBUSY"]);
        run(&["rename", "state.json", "state.json.bak"]).assert_prints_one_of(&["EPERM", "EROFS", "EACCES", "EXDEV", "EBUSY"]);
        run(&["link", "state.json", "other"]).assert_prints_one_of(&["EPERM", "EROFS", "EACCES", "EXDEV", "EBUSY"]);
        run(&["append", "beside"]).assert_prints_one_of(&["EPERM", "EROFS", "EACCES", "EXDEV", "EBUSY"]);
        assert!(area.content("work/beside") == "kept");
        // What exists when a run starts is held as an object, and can be neither removed nor replaced then; within one run, it is a name.
        std::fs::remove_file(area.path("work/state.json")).expect("the owner may remove it");
        area.shell(&rules, "echo 1 >state.json && rm state.json && echo 2 >state.json && cat state.json").run().assert_prints("2");
        std::fs::remove_file(area.path("work/state.json")).expect("the owner may remove it");
        let both = rules.clone().allow_write(area.text("work/state.json.tmp"));
        area.shell(&both, "echo 1 >state.json && echo 2 >state.json.tmp && mv state.json.tmp state.json && cat state.json")
            .run()
            .assert_prints("2");
    });
}

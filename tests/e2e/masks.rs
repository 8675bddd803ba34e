//! Read denials and what re-opens inside them.

use srt_tests::{Area, Denial, Rules, for_each_identity};

const SECRET: &str = "the-secret-of-this-test";

/// `work/secret` is a file, `work/vault/` a directory with one.
fn furnish(area: &Area) {
    area.file("work/secret", SECRET);
    area.file("work/vault/inner", SECRET);
    area.file("work/vault/open/inner", "public");
    area.file("work/vault/open/again/inner", SECRET);
    area.link("secret", "work/to-secret");
    area.link("vault", "work/to-vault");
    area.link(&area.text("work/vault/inner"), "work/to-inner");
}

fn rules(area: &Area) -> Rules {
    area.rules().deny_read(area.text("work/secret")).deny_read(area.text("work/vault"))
}

#[test]
fn a_denied_path_answers_eacces_to_every_kind_of_reading() {
    let operations: &[&[&str]] = &[
        &["read", "@/work/secret"],
        &["open", "@/work/secret", "0"],
        &["read", "@/work/to-secret"],
        &["read", "@/work/../work/secret"],
        &["readdir", "@/work/vault"],
        &["readdir", "@/work/to-vault"],
        &["read", "@/work/vault/inner"],
        &["read", "@/work/to-inner"],
        &["read", "@/work/vault/open/inner"],
        &["stat", "@/work/vault/inner"],
        &["chdir", "@/work/vault"],
        &["readdir", "@/work/vault/open/.."],
    ];
    for_each_identity(|who| {
        for operation in operations {
            Denial { operation, errno: &["EACCES"], prepare: &furnish, rules: &rules }.assert(who);
        }
    });
}

#[test]
fn no_name_in_procfs_leads_around_a_read_denial() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        let secret = area.text("work/secret");
        for prefix in ["/proc/self/root", "/proc/thread-self/root", "/proc/self/cwd/../work/../..", "/proc/1/root"] {
            let path = if prefix.contains("cwd") { "/proc/self/cwd/secret".to_owned() } else { format!("{prefix}{secret}") };
            let outcome = area.probe(&rules(&area), &["cat", &path]).run();
            outcome.assert_prints_one_of(&["EACCES", "EPERM"]);
        }
    });
}

#[test]
fn a_denied_program_cannot_be_executed() {
    for_each_identity(|who| {
        Denial {
            operation: &["exec", "@/work/tool"],
            errno: &["EACCES"],
            prepare: &|area| {
                let status = std::process::Command::new("install").args(["-m", "755", "/bin/true"]).arg(area.path("work/tool")).status();
                assert!(status.is_ok_and(|status| status.success()));
            },
            rules: &|area| area.rules().deny_read(area.text("work/tool")),
        }
        .assert(who);
    });
}

#[test]
fn a_denied_path_cannot_be_written_either() {
    let operations: &[&[&str]] = &[
        &["write", "@/work/secret"],
        &["truncate", "@/work/secret"],
        &["create", "@/work/vault/new"],
        &["mkdir", "@/work/vault/new"],
        &["unlink", "@/work/vault/inner"],
        &["write", "@/work/vault/inner"],
    ];
    for_each_identity(|who| {
        for operation in operations {
            Denial { operation, errno: &["EACCES", "EROFS"], prepare: &furnish, rules: &rules }.assert(who);
        }
    });
}

#[test]
fn a_mask_cannot_be_lifted_from_inside() {
    let operations: &[&[&str]] = &[
        &["chmod", "777", "@/work/secret"],
        &["chmod", "777", "@/work/vault"],
        &["unlink", "@/work/secret"],
        &["rename", "@/work/secret", "@/work/away"],
        &["rename", "@/work/vault", "@/work/away"],
    ];
    for_each_identity(|who| {
        for operation in operations {
            Denial { operation, errno: &["EROFS", "EPERM", "EACCES", "EBUSY"], prepare: &furnish, rules: &rules }.assert(who);
        }
    });
}

#[test]
fn what_allow_read_names_inside_a_denial_can_be_read_and_nothing_beside_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        let rules = area.rules().deny_read(area.text("work/vault")).allow_read(area.text("work/vault/open"));
        area.probe(&rules, &["cat", &area.text("work/vault/open/inner")]).run().assert_prints("public");
        area.probe(&rules, &["readdir", &area.text("work/vault/open")]).run().assert_prints("again inner");
        area.probe(&rules, &["read", &area.text("work/vault/inner")]).run().assert_prints("EACCES");
        area.probe(&rules, &["readdir", &area.text("work/vault")]).run().assert_prints("EACCES");
    });
}

#[test]
fn a_deeper_denial_holds_inside_what_was_re_opened() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        let rules = area
            .rules()
            .deny_read(area.text("work/vault/open/again"))
            .deny_read(area.text("work/vault"))
            .allow_read(area.text("work/vault/open"));
        area.probe(&rules, &["cat", &area.text("work/vault/open/inner")]).run().assert_prints("public");
        area.probe(&rules, &["cat", &area.text("work/vault/open/again/inner")]).run().assert_prints("EACCES");
    });
}

#[test]
fn the_whole_home_can_be_denied_but_for_one_directory() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("home/.ssh/id", SECRET);
        area.file("home/project/file", "public");
        let rules = Rules::new().deny_read("~").allow_read("~/project").allow_write("~/project");
        let script = "cat ~/project/file; echo more >~/project/new; cat ~/.ssh/id; ls ~; true";
        let outcome = area.shell(&rules, script).cwd(area.path("home/project")).run();
        outcome.assert_out_has("public").assert_err_has("Permission denied");
        assert!(!outcome.out().contains(SECRET) && area.content("home/project/new") == "more\n", "{outcome}");
    });
}

#[test]
fn a_read_denial_wins_over_a_write_root_above_and_below_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        let above = area.rules().deny_read(area.text("work/vault"));
        area.probe(&above, &["create", &area.text("work/vault/new")]).run().assert_prints("EACCES");
        let below = Rules::new().deny_read(area.text("work/vault")).allow_write(area.text("work/vault/open"));
        area.probe(&below, &["read", &area.text("work/vault/open/inner")]).run().assert_prints("EACCES");
        area.probe(&below, &["create", &area.text("work/vault/open/new")]).run().assert_prints("EACCES");
        assert!(!area.has("work/vault/new") && !area.has("work/vault/open/new"));
    });
}

#[test]
fn globs_deny_every_match_that_exists() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for name in ["work/a.key", "work/deep/er/b.key", "work/deep/.env", "work/.env"] {
            area.file(name, SECRET);
        }
        area.file("work/a.keys", "public");
        let rules = area.rules().deny_read(format!("{}/**/*.key", area.text("work"))).deny_read("**/.env");
        for denied in ["work/a.key", "work/deep/er/b.key", "work/deep/.env", "work/.env"] {
            area.probe(&rules, &["cat", &area.text(denied)]).run().assert_prints("EACCES");
        }
        area.probe(&rules, &["cat", &area.text("work/a.keys")]).run().assert_prints("public");
    });
}

#[test]
fn a_literal_entry_names_one_path_whatever_its_characters() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/[a]*", SECRET);
        area.file("work/ab", "public");
        let entry = serde_json::json!([{ "path": area.text("work/[a]*"), "literal": true }]);
        let rules = area.rules().set("filesystem", "denyRead", entry);
        area.probe(&rules, &["cat", &area.text("work/[a]*")]).run().assert_prints("EACCES");
        area.probe(&rules, &["cat", &area.text("work/ab")]).run().assert_prints("public");
    });
}

#[test]
fn denying_a_symlink_denies_what_it_leads_to() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        let rules = area.rules().deny_read(area.text("work/to-secret"));
        area.probe(&rules, &["cat", &area.text("work/to-secret")]).run().assert_prints("EACCES");
        area.probe(&rules, &["cat", &area.text("work/secret")]).run().assert_prints("EACCES");
    });
}

#[test]
fn a_denied_symlink_loop_gets_a_message_or_a_run_without_panic() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.link("loop-b", "work/loop-a");
        area.link("loop-a", "work/loop-b");
        let outcome = area.shell(&area.rules().deny_read(area.text("work/loop-a")), "echo ran").run();
        if outcome.code() != Some(0) {
            outcome.assert_refused().assert_err_has("loop-a");
        }
    });
}

#[test]
fn a_run_that_starts_inside_a_denied_directory_cannot_read_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        let outcome = area.shell(&rules(&area), "cat inner; cat ./inner; ls; ls open; true").cwd(area.path("work/vault")).run();
        assert!(!outcome.out().contains(SECRET) && !outcome.out().contains("inner"), "{outcome}");
        if outcome.code() != Some(0) {
            outcome.assert_refused();
        }
    });
}

#[test]
fn denied_files_of_credentials_cannot_be_re_opened() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        let files = serde_json::json!({ "files": [{ "path": area.text("work/secret"), "mode": "deny" }] });
        let rules = area.rules().allow_read(area.text("work/secret")).set("", "credentials", files);
        area.probe(&rules, &["cat", &area.text("work/secret")]).run().assert_prints("EACCES");
    });
}

#[test]
fn denied_files_of_credentials_stay_hidden_where_file_rules_are_off() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area);
        area.file("outside/file", "kept");
        let files = serde_json::json!({ "files": [{ "path": area.text("work/secret"), "mode": "deny" }] });
        let rules = Rules::new().set("filesystem", "disabled", serde_json::json!(true)).set("", "credentials", files);
        for operation in [["cat", "work/secret"], ["cat", "work/to-secret"], ["append", "work/secret"]] {
            area.probe(&rules, &[operation[0], &area.text(operation[1])]).run().assert_prints_one_of(&["EACCES", "EROFS"]);
        }
        for operation in [["append", "outside/file"], ["create", "outside/new"], ["create", "home/new"], ["append", "work/vault/inner"]] {
            area.probe(&rules, &[operation[0], &area.text(operation[1])]).run().assert_prints("ok");
        }
        assert_eq!((area.content("work/secret").as_str(), area.content("outside/file").as_str()), (SECRET, "keptx"));
    });
}

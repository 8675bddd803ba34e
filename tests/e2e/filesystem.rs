//! Write roots, holes in them, and everything outside.

use serde_json::json;
use srt_tests::{Area, Denial, Identity, Rules, for_each_identity};

/// What a command cannot change is mounted read-only; Landlock stands behind it.
const READ_ONLY: &[&str] = &["EROFS", "EACCES", "EPERM"];

/// A file, an empty directory and a full one below `place`.
fn furnish(area: &Area, place: &str) {
    area.file(&format!("{place}/file"), "kept");
    area.dir(&format!("{place}/empty"));
    area.file(&format!("{place}/full/inner"), "kept");
}

/// Every way to change something at `place`; each succeeds where the caller may write.
fn changes(place: &str) -> Vec<Vec<String>> {
    let list = [
        "write P/file",
        "append P/file",
        "truncate P/file",
        "create P/new",
        "open P/file 0o1000",
        "open P/new 0o100",
        "open P 0o20200002",
        "mkdir P/new",
        "rmdir P/empty",
        "unlink P/file",
        "rename P/file P/moved",
        "rename P/full P/moved",
        "exchange P/file P/full",
        "link P/file P/second",
        "symlink anywhere P/new",
        "chmod 600 P/file",
        "utimens P/file",
        "mknod fifo P/new",
    ];
    list.iter().map(|line| line.replace('P', &format!("@/{place}")).split(' ').map(str::to_owned).collect()).collect()
}

fn each_change_is_denied(who: Identity, place: &str, errno: &[&str], rules: &dyn Fn(&Area) -> Rules) {
    for change in changes(place) {
        let words: Vec<&str> = change.iter().map(String::as_str).collect();
        Denial { operation: &words, errno, prepare: &|area| furnish(area, place), rules }.assert(who);
    }
}

#[test]
fn nothing_outside_write_roots_can_be_changed() {
    for_each_identity(|who| each_change_is_denied(who, "outside", READ_ONLY, &Area::rules));
}

#[test]
fn everything_below_a_write_root_can_be_changed() {
    for_each_identity(|who| {
        for change in changes("work") {
            let area = Area::new(who);
            furnish(&area, "work");
            let before = area.snapshot();
            let words: Vec<String> = change.iter().map(|word| word.replace("@/work", &area.text("work"))).collect();
            let outcome = area.probe(&area.rules(), &words.iter().map(String::as_str).collect::<Vec<_>>()).run();
            outcome.assert_prints("ok").assert_code(0);
            let unlinked_only = words[0] == "open" && words[2] == "0o20200002";
            assert!(unlinked_only || before != area.snapshot(), "{words:?} did not reach the host");
        }
    });
}

#[test]
fn extended_attributes_outside_write_roots_stay() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "");
        area.file("work/file", "");
        if area.probe_outside(&["setxattr", "user.srt", &area.text("work/file")]).run().code() != Some(0) {
            srt_tests::skip!("{}: no user attributes on this file system", who.name);
        }
        let rules = area.rules();
        area.probe(&rules, &["setxattr", "user.srt", &area.text("outside/file")]).run().assert_prints_one_of(READ_ONLY);
        area.probe(&rules, &["setxattr", "user.srt", &area.text("work/file")]).run().assert_prints("ok");
    });
}

#[test]
fn the_owner_of_a_file_outside_stays() {
    for_each_identity(|who| {
        let (uid, gid) = (who.uid.to_string(), who.gid.to_string());
        Denial {
            operation: &["chown", &uid, &gid, "@/outside/file"],
            errno: READ_ONLY,
            prepare: &|area| furnish(area, "outside"),
            rules: &Area::rules,
        }
        .assert(who);
    });
}

#[test]
fn a_hole_in_a_write_root_cannot_be_changed() {
    for_each_identity(|who| {
        each_change_is_denied(who, "work/hole", READ_ONLY, &|area| area.rules().deny_write(area.text("work/hole")));
    });
}

#[test]
fn a_denied_path_cannot_be_removed_or_renamed_from_above() {
    let operations: &[&[&str]] = &[
        &["rmdir", "@/work/empty"],
        &["rename", "@/work/empty", "@/work/away"],
        &["unlink", "@/work/file"],
        &["rename", "@/work/file", "@/work/away"],
    ];
    for_each_identity(|who| {
        for operation in operations {
            Denial {
                operation,
                errno: &["EBUSY", "EROFS", "EACCES", "EPERM"],
                prepare: &|area| furnish(area, "work"),
                rules: &|area| area.rules().deny_write(area.text("work/empty")).deny_write(area.text("work/file")),
            }
            .assert(who);
        }
    });
}

#[test]
fn a_file_renamed_over_a_denied_file_does_not_replace_it() {
    for_each_identity(|who| {
        Denial {
            operation: &["rename", "@/work/full/inner", "@/work/file"],
            errno: &["EBUSY", "EROFS", "EACCES", "EPERM", "EXDEV"],
            prepare: &|area| furnish(area, "work"),
            rules: &|area| area.rules().deny_write(area.text("work/file")),
        }
        .assert(who);
    });
}

#[test]
fn a_denied_object_stays_denied_when_a_directory_above_it_is_renamed() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/top/hole/file", "kept");
        let rules = area.rules().deny_write(area.text("work/top/hole"));
        area.shell(&rules, "mv top away; echo changed >away/hole/file; mkdir -p top/hole; echo changed >top/hole/file; rm -rf away top")
            .run();
        // The name stays with the object: what is at the denied name afterwards is what was there before.
        assert_eq!(area.content("work/top/hole/file"), "kept");
        assert!(!area.has("work/away"));
    });
}

/// `allowWrite` and `denyWrite` in every order and nesting that a person may write.
#[test]
fn a_write_denial_wins_whatever_the_order_of_the_settings() {
    let orders: &[(&[&str], &[&str])] = &[
        (&["work", "work/hole"], &["work/hole"]),
        (&["work/hole", "work"], &["work/hole"]),
        (&["work/hole"], &["work/hole"]),
        (&["work", "work/hole/full"], &["work/hole"]),
        (&["work/hole/full", "work"], &["work/hole"]),
        (&["work/hole/full"], &["work"]),
        (&["work"], &["work/hole/full", "work/hole"]),
        (&["work"], &["work/hole", "work/hole/full"]),
    ];
    for_each_identity(|who| {
        for (allowed, denied) in orders {
            Denial {
                operation: &["write", "@/work/hole/full/inner"],
                errno: READ_ONLY,
                prepare: &|area| furnish(area, "work/hole"),
                rules: &|area| {
                    let rules = allowed.iter().fold(Rules::new(), |rules, path| rules.allow_write(area.text(path)));
                    denied.iter().fold(rules, |rules, path| rules.deny_write(area.text(path)))
                },
            }
            .assert(who);
        }
    });
}

#[test]
fn keys_of_a_settings_file_may_come_in_any_order() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/hole/file", "kept");
        let text = format!(
            r#"{{ "filesystem": {{ "denyWrite": ["{0}/hole"], "denyRead": [], "allowWrite": ["{0}"] }}, "network": {{ "deniedDomains": [], "allowedDomains": [] }} }}"#,
            area.text("work")
        );
        let file = area.file("by-hand.json", &text).display().to_string();
        let probe = srt_tests::probe().display().to_string();
        let run = |path: &str| area.bare_srt().args(&["run", "--settings", &file, "--", &probe, "write", &area.text(path)]).run();
        run("work/hole/file").assert_prints_one_of(READ_ONLY);
        assert_eq!(area.content("work/hole/file"), "kept");
    });
}

#[test]
fn one_file_can_be_a_write_root() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area, "outside");
        area.file("outside/other", "kept");
        let rules = Rules::new().allow_write(area.text("outside/file"));
        area.probe(&rules, &["append", &area.text("outside/file")]).run().assert_prints("ok");
        assert_eq!(area.content("outside/file"), "keptx");
        area.probe(&rules, &["append", &area.text("outside/other")]).run().assert_prints_one_of(READ_ONLY);
    });
}

#[test]
fn two_write_roots_are_one_file_system_to_the_command() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/file", "moved");
        let rules = area.rules().allow_write(area.text("outside"));
        // A rename from one root to another may be EXDEV: mv(1) copies then, as between any two mounts.
        area.shell(&rules, "mv file ../outside/ && cat ../outside/file").run().assert_prints("moved").assert_code(0);
        assert!(area.has("outside/file") && !area.has("work/file"));
    });
}

#[test]
fn system_directories_cannot_be_changed_even_by_root() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for place in ["/etc", "/usr", "/var", "/"] {
            let file = format!("{}/srt-test-must-not-exist", place.trim_end_matches('/'));
            area.probe(&area.rules(), &["create", &file]).run().assert_prints_one_of(READ_ONLY);
            assert!(!std::path::Path::new(&file).exists(), "{file} was created on the host");
        }
    });
}

/// A permission for what does not exist is one to make it, by that name and no other.
#[test]
fn a_write_root_that_does_not_exist_may_be_made_by_its_name() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules().allow_write(area.text("missing"));
        area.shell(&rules, "echo ran").run().assert_prints("ran");
        assert!(!area.has("missing"), "a write root was made on the host");
        area.shell(&rules, "mkdir ../missing && echo 1 >../missing/file").run().assert_code(0);
        assert_eq!(area.content("missing/file"), "1\n");
        area.probe(&rules, &["mkdir", &area.text("another")]).run().assert_prints_one_of(READ_ONLY);
        assert!(!area.has("another"));
    });
}

#[test]
fn filesystem_rules_can_be_switched_off_as_a_whole() {
    for_each_identity(|who| {
        let area = Area::new(who);
        furnish(&area, "outside");
        let rules = Rules::new().set("filesystem", "disabled", json!(true));
        area.probe(&rules, &["append", &area.text("outside/file")]).run().assert_prints("ok");
        assert_eq!(area.content("outside/file"), "keptx");
    });
}

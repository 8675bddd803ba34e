//! Links: planted by an earlier run, spelled with `..` or through procfs, hard.

use srt_tests::{Area, Denial, Rules, for_each_identity};

const READ_ONLY: &[&str] = &["EROFS", "EACCES", "EPERM"];

/// Spellings of a file outside every write root, as seen from `work/`.
#[test]
fn no_spelling_of_an_outside_path_makes_it_writable() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "kept");
        area.dir("work/deep");
        area.link("../outside", "work/to-dir");
        area.link("../outside/file", "work/to-file");
        area.link("/", "work/to-root");
        let spellings = [
            "../outside/file".to_owned(),
            "deep/../../outside/file".to_owned(),
            "to-dir/file".to_owned(),
            "to-file".to_owned(),
            format!("to-root{}", area.text("outside/file")),
            format!("/proc/self/root{}", area.text("outside/file")),
            "/proc/self/cwd/../outside/file".to_owned(),
            format!("/proc/thread-self/root{}", area.text("outside/file")),
        ];
        for spelling in spellings {
            area.probe_outside(&["append", &spelling]).run().assert_prints("ok");
            let before = area.content("outside/file");
            area.probe(&area.rules(), &["append", &spelling]).run().assert_prints_one_of(READ_ONLY);
            assert_eq!(area.content("outside/file"), before, "{spelling}");
        }
    });
}

#[test]
fn a_symlink_planted_in_a_write_root_by_an_earlier_run_gains_nothing() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "kept");
        area.shell(&area.rules(), "ln -s ../outside out; ln -s ../outside/file f; ln -s / root").run().assert_code(0);
        let before = area.snapshot();
        let second = format!("echo x >out/new; echo x >>f; echo x >root{0}/outside/other; rm -f out/file; echo end", area.root().display());
        area.shell(&area.rules(), &second).run().assert_prints("end");
        before.assert_unchanged(area.root());
    });
}

/// The earlier run replaces a directory that the settings name by a link that leads out.
#[test]
fn a_write_root_inside_a_write_root_is_not_followed_out_of_it() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "kept");
        area.dir("work/sub");
        let rules = area.rules().allow_write(area.text("work/sub"));
        // A mount point cannot be replaced from inside, so the planting run has the outer root only.
        area.shell(&area.rules(), "rmdir sub && ln -s ../outside sub").run().assert_code(0);
        let before = area.snapshot();
        let outcome = area.shell(&rules, "echo x >sub/new; echo x >>sub/file; echo x >>../outside/file; true").run();
        before.assert_unchanged(area.root());
        if outcome.code() != Some(0) {
            outcome.assert_refused();
        }
    });
}

/// The earlier run replaces a directory that `denyWrite` names: what the link leads to must not become writable, nor the name vanish.
#[test]
fn a_write_denial_that_became_a_symlink_opens_nothing() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "kept");
        area.dir("work/hole");
        area.shell(&area.rules(), "rmdir hole && ln -s ../outside hole").run().assert_code(0);
        let before = area.snapshot();
        let outcome = area.shell(&area.rules().deny_write(area.text("work/hole")), "echo x >hole/new; echo x >>hole/file; true").run();
        before.assert_unchanged(area.root());
        if outcome.code() != Some(0) {
            outcome.assert_refused();
        }
    });
}

#[test]
fn a_file_outside_cannot_be_linked_into_a_write_root() {
    for_each_identity(|who| {
        Denial {
            operation: &["link", "@/outside/file", "@/work/link"],
            errno: &["EXDEV", "EROFS", "EACCES", "EPERM"],
            prepare: &|area| drop(area.file("outside/file", "kept")),
            rules: &Area::rules,
        }
        .assert(who);
    });
}

#[test]
fn a_file_outside_cannot_be_moved_into_a_write_root() {
    for_each_identity(|who| {
        Denial {
            operation: &["rename", "@/outside/file", "@/work/file"],
            errno: &["EXDEV", "EROFS", "EACCES", "EPERM"],
            prepare: &|area| drop(area.file("outside/file", "kept")),
            rules: &Area::rules,
        }
        .assert(who);
    });
}

#[test]
fn a_hard_link_to_a_denied_file_cannot_be_made() {
    for_each_identity(|who| {
        Denial {
            operation: &["link", "@/work/secret", "@/work/link"],
            errno: &["EXDEV", "EROFS", "EACCES", "EPERM"],
            prepare: &|area| drop(area.file("work/secret", "kept")),
            rules: &|area| area.rules().deny_read(area.text("work/secret")),
        }
        .assert(who);
    });
}

#[test]
fn symlinks_inside_a_write_root_work_as_usual() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.shell(&area.rules(), "mkdir d && ln -s d l && echo hello >l/f && cat d/f").run().assert_prints("hello").assert_code(0);
        assert_eq!(area.content("work/d/f"), "hello\n");
    });
}

/// What the first run plants in `work/`, and the second run is asked to open.
fn planted_link_is_refused(rules: fn(&Area) -> Rules, named: &str, target: &str) {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "kept");
        area.file("work/.cache/file", "");
        area.shell(&area.rules(), &format!("rm -rf {named} && ln -s {target} {named}")).run().assert_code(0);
        let before = area.snapshot();
        let rules = rules(&area);
        let settings = area.settings(&rules);
        let outcome = area.shell(&rules, "echo x >../outside/new; cat ../outside/file; echo x >../escaped").run();
        outcome.assert_refused().assert_err_has(&format!("  from {settings}:")).assert_err_has(&area.text(&format!("work/{named}")));
        before.assert_unchanged(area.root());
    });
}

fn sub_written(area: &Area) -> Rules {
    area.rules().allow_write(area.text("work/sub"))
}

/// `work/` is not writable here: the planting run had other settings.
fn sub_alone_written(area: &Area) -> Rules {
    Rules::new().allow_write(area.text("work/.cache/sub"))
}

fn sub_read(area: &Area) -> Rules {
    area.rules().deny_read(area.text("outside")).allow_read(area.text("work/sub"))
}

#[test]
fn a_planted_link_that_leads_elsewhere_opens_nothing_for_writing() {
    planted_link_is_refused(sub_written, "sub", "../outside");
}

#[test]
fn a_planted_link_to_an_ancestor_opens_nothing_for_writing() {
    for target in ["..", "/", "."] {
        planted_link_is_refused(sub_written, "sub", target);
    }
}

#[test]
fn a_link_to_an_ancestor_planted_under_other_settings_opens_nothing_for_writing() {
    planted_link_is_refused(sub_alone_written, ".cache/sub", "../..");
}

#[test]
fn a_planted_link_that_leads_elsewhere_opens_nothing_for_reading() {
    planted_link_is_refused(sub_read, "sub", "../outside");
}

#[test]
fn a_planted_link_to_an_ancestor_opens_nothing_for_reading() {
    planted_link_is_refused(sub_read, "sub", "/");
    planted_link_is_refused(sub_read, "sub", "..");
}

/// Not the entry itself, but a directory on the way to it.
#[test]
fn a_planted_link_on_the_way_to_an_entry_opens_nothing() {
    planted_link_is_refused(|area| area.rules().allow_write(area.text("work/sub/file")), "sub", "../outside");
}

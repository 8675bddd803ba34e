//! The private temporary directory: made, removed, swept.

use std::path::Path;

use rustix::process::Signal;
use srt_tests::{Area, for_each_identity, procs};

#[test]
fn it_is_private_writable_and_not_the_callers() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let script = r#"stat -c '%a %u' "$TMPDIR"; echo x >"$TMPDIR/f" && cat "$TMPDIR/f"; mktemp >/dev/null && echo made; echo "$TMPDIR""#;
        let outcome = area.shell(&area.rules(), script).run();
        outcome.assert_code(0).assert_out_has(&format!("700 {}\nx\nmade", who.uid));
        assert!(!outcome.out().ends_with(&area.text("tmp")), "the caller's own TMPDIR\n{outcome}");
    });
}

#[test]
fn it_has_another_name_each_time_and_is_removed_afterwards() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules();
        let program = || area.shell(&rules, r#"mkdir -p "$TMPDIR/a/b"; chmod 0 "$TMPDIR/a"; printf %s "$TMPDIR""#);
        let program = [program(), program()];
        let before = area.snapshot();
        let names: Vec<String> = program.into_iter().map(|program| program.run().assert_code(0).out()).collect();
        assert_ne!(names[0], names[1]);
        for name in &names {
            assert!(!name.is_empty() && !Path::new(name).exists(), "{name} was left behind");
        }
        before.assert_unchanged(area.root());
    });
}

#[test]
fn it_is_removed_when_the_command_is_killed_or_cannot_start() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules();
        let programs = [area.shell(&rules, "kill -9 $$"), area.srt(&rules).args(&["no-such-command-anywhere"])];
        let before = area.snapshot();
        for program in programs {
            program.run();
            before.assert_unchanged(area.root());
        }
    });
}

#[test]
fn one_left_by_a_killed_srt_is_swept_at_the_next_start_and_a_living_one_is_not() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules();
        let hold = r#"echo "<$TMPDIR>"; : >"$TMPDIR/held"; sleep 60"#;
        let mut living = area.shell(&rules, hold).spawn();
        let mut killed = area.shell(&rules, hold).spawn();
        let name = |run: &mut srt_tests::Running| {
            run.wait_for(">");
            run.stdout_so_far().trim().trim_matches(['<', '>']).to_owned()
        };
        let (kept, left) = (name(&mut living), name(&mut killed));
        killed.signal(Signal::KILL);
        killed.wait();
        area.shell(&rules, "true").run().assert_code(0);
        assert!(!Path::new(&left).exists(), "{left} was not swept");
        assert!(Path::new(&kept).join("held").exists(), "{kept} of a living run was swept");
        living.signal(Signal::TERM);
        living.wait();
        assert!(!Path::new(&kept).exists(), "{kept} was left behind");
    });
}

#[test]
fn a_symlink_inside_it_is_not_followed_when_it_is_removed() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("outside/file", "kept");
        let rules = area.rules();
        let program = area.shell(&rules, &format!(r#"ln -s {0} "$TMPDIR/l"; ln -s {0}/file "$TMPDIR/f""#, area.text("outside")));
        let before = area.snapshot();
        program.run().assert_code(0);
        before.assert_unchanged(area.root());
    });
}

#[test]
fn processes_of_a_killed_srt_are_gone_before_its_directory_is_reused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let marker = procs::marker("tmpdir");
        let mut run = area.shell(&area.rules(), &format!("{} sleep 60 {marker} & echo up; wait", srt_tests::probe().display())).spawn();
        run.wait_for("up");
        run.signal(Signal::KILL);
        run.wait();
        procs::assert_gone(&marker);
    });
}

/// The caller's temporary directory may be `/tmp`: anyone may have put something there first.
#[test]
fn what_others_planted_in_the_callers_temporary_directory_is_not_used() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules();
        let program = || area.shell(&rules, r#"touch "$TMPDIR/f"; mkdir "$TMPDIR/d"; chmod 755 "$TMPDIR"; true"#);
        area.link(&area.text("outside"), &format!("tmp/srt-{}", who.uid));
        refused_or_elsewhere(&area, program());
        std::fs::remove_file(area.path(&format!("tmp/srt-{}", who.uid))).expect("the link is there");
        area.file(&format!("tmp/srt-{}", who.uid), "planted");
        refused_or_elsewhere(&area, program());
    });
}

#[track_caller]
fn refused_or_elsewhere(area: &Area, program: srt_tests::Program) {
    let before = area.snapshot();
    let outcome = program.run();
    before.assert_unchanged(area.root());
    if outcome.code() != Some(0) {
        outcome.assert_refused();
    }
}

#[test]
fn a_temporary_directory_of_the_caller_that_does_not_exist_is_no_panic() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = area.shell(&area.rules(), r#"touch "$TMPDIR/f" && echo made"#).env("TMPDIR", area.text("nowhere")).run();
        assert!(!area.has("nowhere"), "srt made the caller's TMPDIR");
        if outcome.code() != Some(0) {
            outcome.assert_refused();
        } else {
            outcome.assert_prints("made");
        }
    });
}

#[test]
fn one_that_the_command_closed_is_removed_too() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = area.rules();
        for mode in ["0", "500"] {
            let script =
                r#"cd "$TMPDIR" && echo x >f && mkdir -p a/b/c && echo x >a/b/c/f && chmod MODE a/b/c a/b a . && printf %s "$TMPDIR""#;
            let program = area.shell(&rules, &script.replace("MODE", mode));
            let before = area.snapshot();
            let name = program.run().assert_code(0).out();
            assert!(!name.is_empty() && !Path::new(&name).exists(), "{name} of mode {mode} was left behind");
            before.assert_unchanged(area.root());
        }
    });
}

/// The name is known beforehand, so anybody can take it in a directory that all may write to.
#[test]
fn a_name_that_another_user_took_first_does_not_stop_a_run() {
    use std::os::unix::fs::{PermissionsExt, chown};
    for_each_identity(|who| {
        let area = Area::new(who);
        let taken = area.dir(&format!("tmp/srt-{}", who.uid));
        // Where the tests cannot give it away, it is open to others, which is as bad.
        let other = if who.is_root() { 65_534 } else { 0 };
        if chown(&taken, Some(other), None).is_err() {
            std::fs::set_permissions(&taken, std::fs::Permissions::from_mode(0o777)).expect("it is ours");
        }
        let program = area.shell(&area.rules(), r#"stat -c '%a %u' "$TMPDIR"; echo x >"$TMPDIR/f"; printf %s "$TMPDIR""#);
        let before = area.snapshot();
        let outcome = program.run();
        outcome.assert_code(0).assert_out_has(&format!("700 {}\n", who.uid));
        let name = outcome.out().lines().last().unwrap_or_default().to_owned();
        assert!(!Path::new(&name).starts_with(&taken) && !Path::new(&name).exists(), "{name}");
        before.assert_unchanged(area.root());
    });
}

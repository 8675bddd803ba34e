//! Write rules about names: denied ones that come to be in any way, or that are changed in any way, under any spelling.

use srt_tests::{Area, Denial, Identity, Rules, Snapshot, Watch, each, for_each_identity, prepared_late};

/// The answer to a denied name.
const DENIED: &[&str] = &["EPERM"];

/// `work/d` holds a file, a directory with something in it, and ways to lead elsewhere.
fn furnish(area: &Area) {
    area.file("work/d/plain", "plain");
    area.file("work/d/full/inner", "inner");
    area.link("d", "work/to-d");
    area.link("d/held.key", "work/to-held");
}

/// A link to everything: not where a pattern with `**` is expanded, which follows links to directories.
fn furnish_with_root(area: &Area) {
    furnish(area);
    area.link("/", "work/to-root");
}

/// Every way in which `work/d/held.key` can come to be.
const MAKING: &[&str] = &[
    "create N",
    "open N 0o100",
    "open N 0o102",
    "open N 0o1301",
    "at open N x",
    "mkdir N",
    "at mkdir N x",
    "mknod fifo N",
    "at mknod N x",
    "symlink anywhere N",
    "link @/work/d/plain N",
    "rename @/work/d/plain N",
    "rename @/work/d/full N",
    "bind-unix N",
    "tmpfile-link @/work/d N",
    "creat N",
    "open @/work/to-held 0o101",
    "create @/work/to-d/held.key",
    "mkdir @/work/d/../d/held.key",
    "create @/work/d/./held.key",
    "create /proc/self/root@@/work/d/held.key",
    "create @/work/to-root@@/work/d/held.key",
    "mkdir @/work/d/held.key/",
    "symlink anywhere @/work/to-d/held.key",
    "rename @/work/to-d/plain @/work/to-d/held.key",
    "link @/work/to-d/plain @/work/d/full/../held.key",
];

/// Every way in which it can be changed, or get another name, once it is there.
const CHANGING: &[&str] = &[
    "write N",
    "append N",
    "truncate N",
    "open N 0o1000",
    "open N 0o2",
    "open N 0o1101",
    "unlink N",
    "rename N @/work/d/away",
    "rename @/work/d/plain N",
    "exchange @/work/d/plain N",
    "exchange N @/work/d/full",
    "link N @/work/d/second",
    "chmod 600 N",
    "chown UID GID N",
    "utimens N",
    "setxattr user.srt N",
    "write @/work/to-held",
    "truncate @/work/to-held",
    "chmod 600 @/work/to-held",
    "utimens @/work/to-held",
    "write /proc/self/root@@/work/d/held.key",
    "unlink @/work/to-d/held.key",
    "rename @/work/to-d/held.key @/work/d/away",
    "unlink @/work/d/full/../held.key",
    "append @/work/to-root@@/work/d/held.key",
    "by-descriptor fchmod N",
    "by-descriptor fchown N",
    "by-descriptor futimens N",
    "by-descriptor fsetxattr N",
    "by-descriptor fchownat-empty N",
    "by-descriptor utimensat-empty N",
    "by-descriptor proc-chmod N",
    "by-descriptor proc-truncate N",
    "by-descriptor proc-open N",
    "by-descriptor proc-reopen N",
];

/// The words of a line: `N` is the name, `@` the area at the start of a word, `@@` inside one.
fn words(area: &Area, line: &str) -> Vec<String> {
    let root = area.text("").trim_end_matches('/').to_owned();
    let place = |word: &str| match word {
        "N" => area.text("work/d/held.key"),
        "UID" => area.who.uid.to_string(),
        "GID" => area.who.gid.to_string(),
        word => word.replace("@@", &root).replace('@', &root),
    };
    line.split(' ').map(place).collect()
}

fn as_words(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// The name itself, and patterns that it matches.
const ENTRIES: &[&str] = &["work/d/held.key", "work/d/*.key", "work/**/held.key", "work/d/h?ld.[k]ey"];

fn making_is_denied(who: Identity, entry: &str, line: &str) {
    let twin = Area::new(who);
    let line = words(&twin, line).iter().map(|word| word.replace(twin.text("").trim_end_matches('/'), "@/")).collect::<Vec<_>>();
    // A path that begins elsewhere is given as it is: `Denial` puts the area's root at the start of a word only.
    let elsewhere = line.iter().any(|word| word.match_indices("@/").any(|(at, _)| at > 0) || word.starts_with("/proc"));
    let rules = |area: &Area| area.rules().deny_write(area.text(entry));
    if elsewhere {
        furnish_with_root(&twin);
        let here = |area: &Area| line.iter().map(|word| word.replace("@/", area.text("").trim_end_matches('/'))).collect::<Vec<_>>();
        twin.probe_outside(&as_words(&here(&twin))).run().assert_prints("ok");
        let area = Area::new(who);
        furnish_with_root(&area);
        let words = here(&area);
        let before = area.snapshot();
        area.probe(&rules(&area), &as_words(&words)).run().assert_prints_one_of(DENIED);
        before.assert_unchanged(area.root());
    } else {
        let operation = as_words(&line);
        Denial { operation: &operation, errno: DENIED, prepare: &furnish, rules: &rules }.assert_reported(
            who,
            "fs.write",
            "@/work/d/held.key",
            "fs.deny-write",
        );
    }
}

#[test]
fn a_denied_name_comes_to_be_in_no_way() {
    for_each_identity(|who| each(MAKING, |line| making_is_denied(who, ENTRIES[0], line)));
}

#[test]
fn a_name_that_a_denied_pattern_matches_comes_to_be_in_no_way() {
    for_each_identity(|who| {
        each(&ENTRIES[1..], |entry| each(["create N", "mkdir N", "rename @/work/d/plain N"], |line| making_is_denied(who, entry, line)));
    });
}

/// The file came after the start, so that nothing but its name holds it.
#[test]
fn a_denied_file_is_changed_in_no_way() {
    for_each_identity(|who| {
        each(CHANGING, |line| {
            let control = Area::new(who);
            furnish_with_root(&control);
            control.file("work/d/held.key", "kept");
            if line.contains("xattr")
                && control.probe_outside(&["setxattr", "user.srt", &control.text("work/d/plain")]).run().code() != Some(0)
            {
                srt_tests::skip!("{}: no user attributes on this file system", who.name);
            }
            control.probe_outside(&as_words(&words(&control, line))).run().assert_prints("ok");

            let area = Area::new(who);
            furnish_with_root(&area);
            let rules = area.rules().deny_write(area.text("work/d/*.key"));
            let mut before = None;
            let prepare = || {
                area.file("work/d/held.key", "kept");
                before = Some(srt_tests::Snapshot::of(&area.path("work")));
            };
            let command = format!("{} {}", srt_tests::probe().display(), words(&area, line).join(" "));
            let (outcome, events) = prepared_late(&area, &rules, prepare, &command);
            assert_eq!(outcome.out().lines().last(), Some(DENIED[0]), "{line}\n{outcome}");
            before.expect("it was prepared").assert_unchanged(&area.path("work"));
            assert_eq!(events.len(), 1, "{line}: {events}\n{outcome}");
        });
    });
}

/// Directories that are moved so that a denied name lies below them: `work/a/b/held` is denied and missing.
const MOVES: &[&str] = &[
    "mkdir -p x/b; echo e >x/b/held; mv x a",
    "mkdir -p x/b a; echo e >x/b/held; mv x/b a/",
    "mkdir -p x/b a; echo e >x/b/held; rmdir a; mv x a",
    "mkdir -p a/b; mv a x; echo e >x/b/held; mv x a",
    "mkdir -p a/b; mv a/b y; echo e >y/held; mv y a/b",
    "mkdir -p x/b; echo e >x/b/held; ln -s x a",
    "mkdir -p a x; echo e >x/held; ln -s ../x a/b",
    "mkdir -p a/b x; echo e >x/held; rmdir a/b; ln -s ../x a/b",
    "mkdir -p a/b x/b; echo e >x/b/held; PROBE exchange a x",
    "mkdir -p a/b; echo e >x; ln x a/b/held",
    "mkdir -p a/b; echo e >x; ln -s ../../x a/b/held",
    "mkdir -p a/b; cd a/b; echo e >held",
    "mkdir -p a/b; exec 9<a; mv a x; cd /proc/self/fd/9/b; echo e >held; cd -P ../..; mv x a",
];

#[test]
fn no_move_of_a_directory_gives_a_denied_name_to_anything() {
    for_each_identity(|who| {
        each(MOVES, |script| {
            let script = format!("({}) 2>/dev/null; true", script.replace("PROBE", &srt_tests::probe().display().to_string()));
            let control = Area::new(who);
            control.outside("/bin/sh").args(&["-c", &script]).run();
            assert!(control.path("work/a/b/held").exists(), "outside, the move makes the name");
            let area = Area::new(who);
            let outcome = area.shell(&area.rules().deny_write(area.text("work/a/b/held")), &script).run();
            outcome.assert_code(0);
            // Through links too.
            assert!(!area.path("work/a/b/held").exists(), "{outcome}");
        });
    });
}

#[test]
fn nothing_appears_on_the_host_for_a_name_that_does_not_exist() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.dir("work/out");
        let rules = area.rules().deny_write(area.text("work/missing/deep")).deny_write(area.text("work/**/*.key"));
        let rules = rules.allow_write(area.text("outside/later.json")).allow_write(area.text("outside/*.log"));
        // srt's own private directory is made there and removed again.
        let watches = ["work", "outside", "home"].map(|place| Watch::start(&area.path(place)));
        let before = Snapshot::of(area.root());
        area.shell(&rules, "sleep 0.2; cat missing 2>/dev/null; ls >/dev/null").run().assert_code(0);
        before.assert_unchanged(area.root());
        for watch in watches {
            assert!(watch.names().is_empty(), "something appeared during the run");
        }
    });
}

#[test]
fn eight_runs_at_once_in_one_directory_all_succeed() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules: Rules = area.rules().deny_write(area.text("work/**/*.key")).deny_write(area.text("work/missing"));
        let watch = Watch::start(&area.path("work"));
        let running: Vec<_> = (0..8)
            .map(|run| {
                area.shell(&rules, &format!("echo {run} >own-{run}; (echo x >{run}.key) 2>/dev/null; sleep 0.3; cat own-{run}")).spawn()
            })
            .collect();
        for (run, running) in running.into_iter().enumerate() {
            running.wait().assert_prints(&run.to_string()).assert_code(0);
        }
        let expected: Vec<_> = (0..8).map(|run| format!("own-{run}")).collect();
        assert_eq!(watch.names().into_iter().collect::<Vec<_>>(), expected);
    });
}

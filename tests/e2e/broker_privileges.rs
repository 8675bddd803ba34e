//! What the broker has, it lends to nobody: other processes' procfs, its own, its capability, its filter.

use srt_tests::{Area, Outcome, each, for_each_identity};

/// How the kernel or the broker may say no.
const REFUSED: &[&str] = &["EACCES", "EPERM", "ENOENT", "EROFS", "ESRCH", "ELOOP", "EIO", "EINVAL"];

/// Spellings of the first process of the sandbox, and of what it has open.
const FIRST: &[&str] = &[
    "/proc/1/root@/work/new",
    "/proc/1/cwd/new",
    "/proc/1/task/1/root@/work/new",
    "/proc//1/root@/work/new",
    "/proc/./1/root@/work/new",
    "/proc/self/../1/root@/work/new",
    "/proc/self/root/proc/1/root@/work/new",
    "/proc/self/cwd/../../../../../../../../proc/1/root@/work/new",
    "/proc/thread-self/../../../1/root@/work/new",
    "@/work/to-first/root@/work/new",
    "@/work/to-root@/work/new",
    "/proc/1/fd/0",
    "/proc/1/fd/1",
    "/proc/1/fd/3",
    "/proc/1/fd/4",
    "/proc/1/mem",
    "/proc/1/comm",
    "/proc/1/oom_score_adj",
    "/proc/1/clear_refs",
    "/proc/1/uid_map",
    "/proc/1/setgroups",
    "/proc/1/attr/current",
];

fn spelled(area: &Area, text: &str) -> String {
    text.replace('@', area.text("").trim_end_matches('/'))
}

#[test]
fn nothing_of_the_first_process_is_opened_under_any_spelling() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.link("/proc/1", "work/to-first");
        area.link("/proc/1/root", "work/to-root");
        each(FIRST, |spelling| {
            let path = spelled(&area, spelling);
            // O_WRONLY | O_CREAT, O_RDWR, O_WRONLY | O_TRUNC
            for flags in ["0o101", "0o2", "0o1001"] {
                area.probe(&area.rules(), &["open", &path, flags]).run().assert_prints_one_of(REFUSED);
            }
            area.probe(&area.rules(), &["at", "mkdir", &path, "x"]).run().assert_prints_one_of(&[REFUSED, &["EEXIST"]].concat());
            area.probe(&area.rules(), &["at", "truncate", &path, "x"]).run().assert_prints_one_of(REFUSED);
            assert!(!area.has("work/new"), "{path}");
        });
    });
}

#[test]
fn memory_and_descriptors_of_the_first_process_are_not_read() {
    for_each_identity(|who| {
        let area = Area::new(who);
        each(["mem", "environ", "maps", "fd/0", "fd/3", "root", "cwd", "exe", "stack", "syscall"], |name| {
            let path = format!("/proc/1/{name}");
            area.probe(&area.rules(), &["cat", &path]).run().assert_prints_one_of(REFUSED);
        });
        for fd in ["0", "1", "2", "3", "4", "5", "6"] {
            area.probe(&area.rules(), &["pidfd-getfd", "1", fd]).run().assert_prints_one_of(&["EPERM", "EACCES", "ENOSYS", "EBADF"]);
        }
        area.probe(&area.rules(), &["pidfd-getfd", "1", "0"]).run().assert_prints_one_of(&["EPERM", "EACCES", "ENOSYS"]);
        area.probe(&area.rules(), &["ptrace", "1"]).run().assert_prints_one_of(&["EPERM", "EACCES"]);
    });
}

/// The way by which one process would act with another's root, directory or descriptors.
const NEIGHBOUR: &[&str] = &["cwd/new", "root@/work/new", "fd/9", "task/$n/cwd/new", "task/$n/fd/9"];

#[test]
fn another_processs_entries_in_procfs_are_not_written_through() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let attempt = |area: &Area, way: &str| {
            let way = spelled(area, way);
            format!(
                "exec 9>>behind; sleep 60 & n=$!; exec 9>&-; (echo x >/proc/$n/{way}) 2>/dev/null && echo wrote; kill $n; wait 2>/dev/null; true"
            )
        };
        each(NEIGHBOUR, |way| {
            let twin = Area::new(who);
            let control = twin.outside("/bin/bash").args(&["-c", &attempt(&twin, way)]).run();
            control.assert_prints("wrote");
            let outcome = area.srt(&area.rules()).args(&["/bin/bash", "-c", &attempt(&area, way)]).run();
            outcome.assert_prints("");
            assert!(!area.has("work/new") && area.content("work/behind").is_empty(), "{way}\n{outcome}");
        });
    });
}

#[test]
fn a_rule_set_of_ones_own_would_not_hold_and_is_refused() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outside = area.probe_outside(&["landlock-ruleset"]).run();
        if outside.out() != "ok" {
            srt_tests::skip!("{}: this kernel has no Landlock: {}", who.name, outside.out());
        }
        area.probe(&area.rules(), &["landlock-ruleset"]).run().assert_prints("EOPNOTSUPP");
    });
}

/// srt below a filter that holds the only listener which the kernel gives.
fn below_a_listener(area: &Area, options: &[&str], words: &[&str]) -> Outcome {
    let rules = area.rules().deny_write(area.text("work/missing"));
    let settings = area.settings(&rules);
    let srt = srt_tests::srt().display().to_string();
    let run = area.probe_outside(&["behind-listener", &srt, "run", "--settings", &settings]);
    run.args(options).args(&["--"]).args(words).run()
}

#[test]
fn where_the_kernel_gives_no_listener_the_names_are_a_gap() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe_outside(&["behind-listener", "/bin/echo", "control"]).run().assert_prints("control");
        below_a_listener(&area, &[], &["touch", "mark"]).assert_refused().assert_err_has("name-rules");
        assert!(!area.has("work/mark"), "the command ran");
        below_a_listener(&area, &["--accept-gap", "name-rules"], &["touch", "mark"]).assert_code(0);
        assert!(area.has("work/mark"));
    });
}

#[test]
fn a_sandbox_within_a_sandbox_says_what_it_lacks_or_works() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let inner = area.settings(&area.rules());
        let srt = srt_tests::srt().display().to_string();
        let outcome = area.srt(&area.rules()).args(&[&srt, "run", "--settings", &inner, "--", "touch", "mark"]).run();
        if outcome.code() == Some(0) {
            assert!(area.has("work/mark"), "{outcome}");
        } else {
            outcome.assert_refused();
            assert!(!area.has("work/mark"), "{outcome}");
        }
    });
}

#[test]
fn what_runs_inside_has_no_capability_and_the_callers_ids() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let zero = ["0000000000000000"; 5].join(" ");
        area.probe(&area.rules(), &["caps"]).run().assert_prints(&zero);
        let ids = area.probe_outside(&["ids"]).run().out();
        let uid = ids.split(' ').next().unwrap_or_default().to_owned();
        assert!(area.probe(&area.rules(), &["ids"]).run().out().starts_with(&uid), "the uid stays {uid}");
        // What the broker makes for it belongs to it.
        area.probe(&area.rules(), &["create", "made"]).run().assert_prints("ok");
        let owner = area.outside("/usr/bin/stat").args(&["-c", "%u:%g", "made"]).run();
        owner.assert_prints(&format!("{}:{}", who.uid, who.gid));
    });
}

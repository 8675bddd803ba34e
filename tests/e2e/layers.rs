//! Hosts that lack a layer, or hide a part of `/proc`.
//!
//! `--without LAYER` takes a layer away, so that one kernel shows what srt does on others.

use serde_json::json;
use srt_tests::{Area, Identity, Program, Rules, for_each_identity};

const READ_ONLY: &[&str] = &["EROFS", "EACCES", "EPERM"];
const CLOSED: &[&str] = &["EACCES"];
const DONE: &[&str] = &["ok"];

/// `srt run` that takes these layers as missing.
pub(crate) fn without(area: &Area, layers: &[&str], rules: &Rules) -> Program {
    let taken = layers.iter().fold(area.bare_srt().args(&["run"]), |program, layer| program.args(&["--without", layer]));
    taken.args(&["--settings", &area.settings(rules), "--"])
}

fn probe_without(area: &Area, layers: &[&str], rules: &Rules, operation: &[&str]) -> srt_tests::Outcome {
    without(area, layers, rules).args(&[&srt_tests::probe().display().to_string()]).args(operation).run()
}

pub(crate) fn furnish(area: &Area) -> Rules {
    for file in ["outside/file", "work/file", "work/hole/file", "work/hole/inner/file", "work/secret", "work/vault/file"] {
        area.file(file, "kept");
    }
    area.file("work/vault/open/file", "public");
    let rules = area.rules().deny_write(area.text("work/hole")).allow_write(area.text("work/hole/inner"));
    rules.deny_read(area.text("work/secret")).deny_read(area.text("work/vault")).allow_read(area.text("work/vault/open"))
}

/// Operation, path, and the right answers.
pub(crate) const FACTS: &[(&str, &str, &[&str])] = &[
    ("append", "outside/file", READ_ONLY),
    ("create", "outside/new", READ_ONLY),
    ("append", "work/file", DONE),
    ("create", "work/new", DONE),
    ("append", "work/hole/file", READ_ONLY),
    ("append", "work/hole/inner/file", READ_ONLY),
    ("rmdir", "work/hole", &["EBUSY", "EROFS", "EACCES", "EPERM"]),
    ("read", "work/secret", CLOSED),
    ("readdir", "work/vault", CLOSED),
    ("read", "work/vault/file", CLOSED),
    ("cat", "work/vault/open/file", &["public"]),
];

fn file_rules_hold(who: Identity, layers: &[&str]) {
    let area = Area::new(who);
    let rules = furnish(&area);
    for (operation, path, answers) in FACTS {
        let outcome = probe_without(&area, layers, &rules, &[operation, &area.text(path)]);
        assert!(answers.contains(&outcome.out().as_str()), "{operation} {path} is none of {answers:?}\n{outcome}");
    }
    let kept = ["outside/file", "work/hole/file", "work/hole/inner/file", "work/secret", "work/vault/file"];
    assert!(kept.iter().all(|file| area.content(file) == "kept") && !area.has("outside/new"));
    let before = area.snapshot();
    let script = "echo x >\"$TMPDIR/f\" && cat \"$TMPDIR/f\" && echo y >/dev/null && head -c 1 /dev/zero | wc -c && : >/dev/shm/s && ls -d /proc/self";
    without(&area, layers, &rules).args(&["sh", "-c", script]).run().assert_prints("x\n1\n/proc/self");
    before.assert_unchanged(area.root());
    for knob in ["/proc/sys/kernel/core_pattern", "/sys/kernel/profiling", "/proc/sysrq-trigger"] {
        let outcome = probe_without(&area, layers, &rules, &["open", knob, "0o1"]);
        assert!(["EROFS", "EACCES", "EPERM", "ENOENT"].contains(&outcome.out().as_str()), "{knob}\n{outcome}");
    }
}

#[test]
fn file_rules_hold_by_the_old_mount_calls() {
    for_each_identity(|who| file_rules_hold(who, &["new-mount-api"]));
}

#[test]
fn file_rules_hold_without_landlock() {
    for_each_identity(|who| file_rules_hold(who, &["landlock"]));
}

#[test]
fn file_rules_hold_by_the_old_mount_calls_alone() {
    for_each_identity(|who| file_rules_hold(who, &["new-mount-api", "landlock"]));
}

#[test]
fn no_mount_of_the_host_is_left_writable_by_the_old_mount_calls() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for layers in [&[][..], &["new-mount-api"]] {
            // The host's own mounts, all of them, as the command sees them.
            let script = "while read _ _ _ _ at options _; do case $at in /dev|/dev/*|/proc|*/work|*/srt-*) ;; *) case ,$options, in *,ro,*) ;; *) echo \"$at\";; esac;; esac; done </proc/self/mountinfo";
            without(&area, layers, &area.rules()).args(&["sh", "-c", script]).run().assert_prints("").assert_code(0);
        }
    });
}

/// The filter takes the place of the scope that keeps signals inside.
#[test]
fn the_process_group_is_not_signalled_without_landlock_scopes() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for layers in [&["landlock-scopes"][..], &["landlock"], &["landlock", "new-mount-api"]] {
            for signal in ["0", "9"] {
                let script = format!("{} kill 0 {signal}; exit 5", srt_tests::probe().display());
                let program = without(&area, layers, &area.rules()).args(&["sh", "-c", &script]).in_own_group();
                program.run().assert_prints("EPERM").assert_code(5);
            }
        }
    });
}

#[test]
fn without_namespaces_or_filter_nothing_is_run() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for layer in ["user-namespaces", "seccomp"] {
            for layers in [&[layer][..], &["landlock", layer]] {
                let outcome =
                    without(&area, layers, &area.rules().set("", "acceptGaps", json!(["name-rules"]))).args(&["touch", "mark"]).run();
                outcome.assert_refused().assert_err_has(layer);
                assert!(!area.has("work/mark"));
            }
        }
    });
}

/// No layer holds names then, and nothing may pretend that one does.
#[test]
fn without_user_notification_nothing_is_run_until_it_is_accepted() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let run = |accepted: &[&str]| {
            let words = ["run", "--without", "user-notification", "--settings", &area.settings(&area.rules())];
            area.outside(srt_tests::srt()).args(&words).args(accepted).args(&["--", "touch", "mark"]).run()
        };
        for accepted in [&[][..], &["--accept-gap", "unix-socket-paths"]] {
            run(accepted).assert_refused().assert_err_has("name-rules").assert_err_has("--accept-gap name-rules");
            assert!(!area.has("work/mark"));
        }
        run(&["--accept-gap", "name-rules"]).assert_code(0).assert_err_has("srt: runs without name-rules");
        assert!(area.has("work/mark"));
    });
}

/// Runs `program` where a part of `/proc` lies below another mount, as container engines arrange it.
fn in_a_container(area: &Area, program: &Program) -> Program {
    let own: &[&str] = if area.who.is_root() { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let start = "mount -t tmpfs none /proc/sys && exec \"$@\"";
    let words = program.words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    area.outside("/usr/bin/unshare").args(own).args(&["--propagation", "private", "sh", "-c", start, "sh"]).args(&words)
}

#[test]
fn a_container_that_hides_a_part_of_proc_is_refused_with_the_setting_that_helps() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if in_a_container(&area, &area.outside("/bin/true")).run().code() != Some(0) {
            srt_tests::skip!("{}: the host does not let it mount over /proc/sys", who.name);
        }
        let outcome = in_a_container(&area, &area.shell(&area.rules(), "echo ran; touch mark")).run();
        outcome.assert_refused().assert_err_has("enableWeakerNestedSandbox");
        assert!(!area.has("work/mark"));
        let weaker = area.rules().set("", "enableWeakerNestedSandbox", json!(true));
        in_a_container(&area, &area.shell(&weaker, "echo ran; touch mark")).run().assert_prints("ran").assert_code(0);
        assert!(area.has("work/mark"));
    });
}

/// What is bound there shows the container's processes; none may be changed through it.
#[test]
fn processes_of_a_container_cannot_be_changed_through_its_proc() {
    for_each_identity(|who| {
        let area = Area::new(who);
        if in_a_container(&area, &area.outside("/bin/true")).run().code() != Some(0) {
            srt_tests::skip!("{}: the host does not let it mount over /proc/sys", who.name);
        }
        let weaker = area.rules().set("", "enableWeakerNestedSandbox", json!(true));
        let bystander = area.probe_outside(&["sleep", "60"]).spawn();
        let script = format!(
            "for f in oom_score_adj autogroup coredump_filter clear_refs comm; do echo $f-$({0} open /proc/{1}/$f 0o1); done
            for f in mem environ maps auxv fd/0 root/ cwd/; do echo $f-$({0} open /proc/{1}/$f 0); done; echo end",
            srt_tests::probe().display(),
            bystander.id()
        );
        let outcome = in_a_container(&area, &area.shell(&weaker, &script)).run();
        bystander.signal(rustix::process::Signal::KILL);
        bystander.wait();
        // Opened only: nothing is written even where the sandbox fails.
        outcome.assert_code(0).assert_out_has("end");
        let open: Vec<_> = outcome.out().lines().filter(|line| line.ends_with("-ok")).map(str::to_owned).collect();
        assert!(open.is_empty(), "{open:?}\n{outcome}");
    });
}

//! Denials as the kernel's own program sees them: root loads it where reads are to be reported, or where there is no broker.

use serde_json::json;
use srt_tests::{Area, Events, Expected, Identity, Outcome, Rules, as_root, each, skipped};

/// Options that leave the reports to the kernel's program alone.
const NO_BROKER: &[&str] = &[
    "--without",
    "user-notification",
    "--accept-gap",
    "name-rules",
    "--accept-gap",
    "unix-socket-paths",
    "--accept-gap",
    "transparent-network",
];

/// Runs `test` as root, where this host lets root load programs.
fn where_programs_load(test: impl Fn(Identity)) {
    as_root(|who| {
        let doctor = Area::new(who).bare_srt().args(&["doctor", "--json"]).run();
        let report: serde_json::Value = serde_json::from_str(&doctor.out()).unwrap_or_else(|error| panic!("{error}\n{doctor}"));
        match report["ebpf"]["answer"] == "yes" {
            true => test(who),
            false => skipped("this host lets nobody load eBPF programs"),
        }
    });
}

fn with_reads(rules: Rules) -> Rules {
    rules.set("", "violations", json!({ "reads": true }))
}

/// As the corpus of the broker, with options of srt before the command.
fn of_probe(area: &Area, rules: &Rules, options: &[&str], operation: &[&str]) -> (Outcome, Events) {
    let log = area.beside("events");
    let probe = srt_tests::probe().display().to_string();
    let settings = area.settings(rules);
    let program = area.bare_srt().args(&["run", "--settings", &settings, "--violations-file", &log]).args(options).args(&["--", &probe]);
    let outcome = program.args(operation).run();
    let events = Events::read(&log, &outcome);
    (outcome, events)
}

/// A masked file, a masked directory with something in it, a link to the file, a program that is masked.
fn furnish(area: &Area) -> Rules {
    area.file("outside/secret", "hidden");
    area.file("outside/dir/inner", "hidden");
    area.link("../outside/secret", "work/link");
    std::fs::copy("/bin/true", area.path("outside/program")).unwrap();
    with_reads(
        area.rules().deny_read(area.text("outside/secret")).deny_read(area.text("outside/dir")).deny_read(area.text("outside/program")),
    )
}

#[test]
fn every_way_to_read_what_is_masked_is_one_event() {
    const OPEN: &[&str] = &["open", "openat"];
    const STAT: &[&str] = &["stat", "newfstatat", "statx"];
    let rows: &[(&[&str], &str, &[&str], &str)] = &[
        (&["read", "@outside/secret"], "fs.read", OPEN, "outside/secret"),
        (&["read", "../outside/secret"], "fs.read", OPEN, "outside/secret"),
        (&["read", "link"], "fs.read", OPEN, "outside/secret"),
        (&["read", "@outside/dir/inner"], "fs.read", OPEN, "outside/dir/inner"),
        (&["stat", "@outside/dir/inner"], "fs.read", STAT, "outside/dir/inner"),
        (&["chdir", "@outside/dir"], "fs.read", &["chdir"], "outside/dir"),
        (&["exec", "@outside/program"], "fs.exec", &["execve"], "outside/program"),
    ];
    where_programs_load(|who| {
        each(rows, |(words, kind, operations, target)| {
            let placed = |area: &Area| -> Vec<String> {
                words.iter().map(|word| word.strip_prefix('@').map_or_else(|| (*word).to_owned(), |rest| area.text(rest))).collect()
            };
            let control = Area::new(who);
            furnish(&control);
            let control_words = placed(&control);
            let outside = control.probe_outside(&control_words.iter().map(String::as_str).collect::<Vec<_>>()).run();
            assert_eq!(outside.code(), Some(0), "the control must succeed\n{outside}");

            let area = Area::new(who);
            let rules = furnish(&area);
            let words = placed(&area);
            let (outcome, events) = of_probe(&area, &rules, &[], &words.iter().map(String::as_str).collect::<Vec<_>>());
            outcome.assert_prints("EACCES");
            let target = area.text(target);
            events.assert_only(Expected { kind, operations, target: &target, errno: &["EACCES"], rule: "fs.deny-read" }, &outcome);
            assert!(events.to_string().contains("\"source\":\"ebpf\""), "{events}");
        });
    });
}

/// Names that the host does not have, or has otherwise.
#[test]
fn a_read_by_a_name_that_only_the_sandbox_has_is_one_event() {
    let ways: &[(&str, &str)] = &[
        ("ln -s @outside/secret /dev/shm/l && cat /dev/shm/l", "outside/secret"),
        ("ln -s @outside/secret \"$TMPDIR/l\" && cat \"$TMPDIR/l\"", "outside/secret"),
        // While the process is there to be asked.
        ("true </proc/self/cwd/../outside/secret; sleep 1; exit 3", "outside/secret"),
        ("head -c 1 ../outside/script >/dev/null; ../outside/script", "outside/program"),
        (
            "python3 -c 'import os,time\nd=os.open(\"@outside/secret\", os.O_PATH | os.O_RDWR)\ntry: os.open(\"/proc/self/fd/%d\" % d, 0)\nexcept OSError: time.sleep(1); raise'",
            "outside/secret",
        ),
    ];
    where_programs_load(|who| {
        each(ways, |(way, target)| {
            let area = Area::new(who);
            let rules = furnish(&area);
            let script = area.file("outside/script", &format!("#!{}\n", area.text("outside/program")));
            std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let (outcome, events) =
                Events::of(&area, &rules, &["sh", "-c", &way.replace('@', &format!("{}/", area.text("")).replace("//", "/"))]);
            assert!(outcome.code() != Some(0), "{outcome}");
            let target = area.text(target);
            assert_eq!(events.counts().filter(|(about, _)| *about == target).count(), 1, "{way}\n{outcome}\n{events}");
            assert_eq!(events.len(), 1, "{way}\n{outcome}\n{events}");
        });
    });
}

/// What a record cannot say is no reason to keep silent.
#[test]
fn a_read_by_a_name_that_is_gone_or_too_deep_is_one_event() {
    let deep =
        "mkdir -p $(printf 'd/%.0s' $(seq 45)) && cd $(printf 'd/%.0s' $(seq 45)) && cat $(printf '../%.0s' $(seq 46))outside/secret";
    let gone = "python3 -c 'import os\nos.symlink(\"../outside/secret\", \"l\")\ntry: os.open(\"l\", 0)\nfinally: os.unlink(\"l\")'";
    where_programs_load(|who| {
        each(&[deep, gone], |script| {
            let area = Area::new(who);
            let rules = furnish(&area);
            let (outcome, events) = Events::of(&area, &rules, &["sh", "-c", script]);
            assert!(outcome.code() != Some(0), "{outcome}");
            assert_eq!(events.len(), 1, "{outcome}\n{events}");
        });
    });
}

#[test]
fn a_read_that_fails_for_a_reason_of_its_own_is_no_event() {
    where_programs_load(|who| {
        each(&["outside/missing", "outside/dir/missing"], |path| {
            let area = Area::new(who);
            let rules = furnish(&area);
            let (outcome, events) = of_probe(&area, &rules, &[], &["read", &area.text(path)]);
            outcome.assert_prints_one_of(&["ENOENT", "EACCES"]);
            events.assert_none(&outcome);
        });
    });
}

/// What the broker tries on the way to its verdict is no call of the command.
#[test]
fn a_write_to_what_is_masked_is_told_by_the_broker_alone() {
    where_programs_load(|who| {
        each(&["outside/secret", "outside/dir/inner"], |path| {
            let area = Area::new(who);
            let rules = furnish(&area);
            let (outcome, events) = of_probe(&area, &rules, &[], &["open", &area.text(path), "0o2"]);
            outcome.assert_prints("EACCES");
            let target = area.text(path);
            let expected =
                Expected { kind: "fs.write", operations: &["open", "openat"], target: &target, errno: &["EACCES"], rule: "fs.deny-read" };
            events.assert_only(expected, &outcome);
            assert!(events.to_string().contains("\"source\":\"broker\""), "{events}");
        });
    });
}

#[test]
fn a_write_is_told_by_the_broker_alone() {
    where_programs_load(|who| {
        let area = Area::new(who);
        let rules = furnish(&area);
        let target = area.text("outside/new");
        let (outcome, events) = of_probe(&area, &rules, &[], &["create", &target]);
        let errno = &["EROFS", "EACCES"];
        outcome.assert_prints_one_of(errno);
        events.assert_only(Expected { kind: "fs.write", operations: &[], target: &target, errno, rule: "fs.default-write" }, &outcome);
        assert!(events.to_string().contains("\"source\":\"broker\""), "{events}");
    });
}

#[test]
fn without_a_broker_every_denial_is_told_by_the_program() {
    let writes: &[(&[&str], &[&str], &str)] = &[
        (&["create", "@outside/new"], &["open", "openat"], "outside/new"),
        (&["write", "@outside/file"], &["open", "openat"], "outside/file"),
        (&["mkdir", "@outside/new"], &["mkdir", "mkdirat"], "outside/new"),
        (&["unlink", "@outside/file"], &["unlink", "unlinkat"], "outside/file"),
        (&["rename", "@outside/file", "@outside/moved"], &["rename", "renameat", "renameat2"], "outside/file"),
        (&["symlink", "anywhere", "@outside/new"], &["symlink", "symlinkat"], "outside/new"),
        (&["chmod", "600", "@outside/file"], &["chmod", "fchmodat", "fchmodat2"], "outside/file"),
        (&["truncate", "@outside/file"], &["truncate"], "outside/file"),
    ];
    where_programs_load(|who| {
        each(writes, |(words, operations, target)| {
            let area = Area::new(who);
            area.file("outside/file", "kept");
            let rules = with_reads(area.rules());
            let words: Vec<String> =
                words.iter().map(|word| word.strip_prefix('@').map_or_else(|| (*word).to_owned(), |rest| area.text(rest))).collect();
            let (outcome, events) = of_probe(&area, &rules, NO_BROKER, &words.iter().map(String::as_str).collect::<Vec<_>>());
            let errno = &["EROFS", "EACCES"];
            outcome.assert_prints_one_of(errno);
            let target = area.text(target);
            events.assert_only(Expected { kind: "fs.write", operations, target: &target, errno, rule: "fs.default-write" }, &outcome);
        });
        each(&["mount", "setns", "bpf", "keyctl"], |call| {
            let area = Area::new(who);
            let (outcome, events) = of_probe(&area, &with_reads(area.rules()), NO_BROKER, &[call]);
            outcome.assert_prints("EPERM");
            events.assert_only(Expected { kind: "syscall", operations: &[call], target: "", errno: &["EPERM"], rule: "syscall" }, &outcome);
        });
    });
}

#[test]
fn a_flood_is_counted_to_the_last_denial() {
    const TIMES: u64 = 20_000;
    where_programs_load(|who| {
        let area = Area::new(who);
        let rules = furnish(&area);
        let secret = area.text("outside/secret");
        let script =
            format!("import os\nfor _ in range({TIMES}):\n try: os.open({secret:?}, 0)\n except PermissionError: pass\nprint('end')");
        let (outcome, events) = Events::of(&area, &rules, &["python3", "-c", &script]);
        outcome.assert_prints("end");
        let counted: u64 = events.counts().filter(|(target, _)| *target == secret).map(|(_, count)| count).sum();
        let said = |words: &str| -> u64 {
            let err = outcome.err();
            err.lines().find_map(|line| line.strip_suffix(words)?.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0)
        };
        let told = counted + said(" came too quickly");
        // Where the kernel lets a task have the processor while the program runs for another, it says how many calls the program was not asked about.
        let passed_by = said(" calls, of any process on this host, were not looked at");
        assert!(told <= TIMES && told + passed_by >= TIMES, "{told} told, at most {passed_by} not looked at\n{outcome}");
    });
}

#[test]
fn nothing_stays_loaded_after_srt_is_killed() {
    where_programs_load(|who| {
        let area = Area::new(who);
        let rules = furnish(&area);
        let mut running = area.srt(&rules).args(&["sh", "-c", "echo ready; sleep 60"]).spawn();
        running.wait_for("ready");
        if loaded_programs().is_none() {
            return skipped("no bpftool");
        }
        let loaded = programs_of(running.id());
        assert!(!loaded.is_empty(), "a program is loaded while the command runs");
        running.signal(rustix::process::Signal::KILL);
        let _ = running.wait();
        let deadline = std::time::Instant::now() + srt_tests::patience(10);
        while still_loaded(&loaded) {
            assert!(std::time::Instant::now() < deadline, "{loaded:?} are still loaded");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
}

/// Numbers of the programs that a process holds descriptors of (proc_pid_fdinfo(5)).
fn programs_of(process: u32) -> Vec<u64> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fdinfo")).unwrap();
    let texts = descriptors.flatten().filter_map(|descriptor| std::fs::read_to_string(descriptor.path()).ok());
    texts.filter_map(|text| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok())).collect()
}

/// Numbers of all programs that the kernel holds; none where bpftool(8) is missing.
fn loaded_programs() -> Option<Vec<u64>> {
    let output = std::process::Command::new("bpftool").args(["--json", "prog", "list"]).output().ok()?;
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(list.as_array()?.iter().filter_map(|program| program["id"].as_u64()).collect())
}

fn still_loaded(programs: &[u64]) -> bool {
    loaded_programs().is_some_and(|loaded| loaded.iter().any(|program| programs.contains(program)))
}

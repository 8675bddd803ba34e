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
        let lost =
            outcome.err().lines().find_map(|line| line.strip_suffix(" came too quickly")?.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0);
        assert_eq!(counted + lost, TIMES, "{lost} lost\n{outcome}");
    });
}

#[test]
fn nothing_stays_loaded_after_srt_is_killed() {
    where_programs_load(|who| {
        let area = Area::new(who);
        let rules = furnish(&area);
        let mut running = area.srt(&rules).args(&["sh", "-c", "echo ready; sleep 60"]).spawn();
        running.wait_for("ready");
        let Some(loaded) = programs_of(running.id()) else { return skipped("no bpftool") };
        assert!(!loaded.is_empty(), "a program is loaded while the command runs");
        running.signal(rustix::process::Signal::KILL);
        let _ = running.wait();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while still_loaded(&loaded) {
            assert!(std::time::Instant::now() < deadline, "{loaded:?} are still loaded");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
}

fn bpftool(words: &[&str]) -> Option<serde_json::Value> {
    let output = std::process::Command::new("bpftool").args(["--json", "prog", "list"]).args(words).output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

/// Numbers of the programs that a process holds.
fn programs_of(process: u32) -> Option<Vec<u64>> {
    let list = bpftool(&[])?;
    let holds = |program: &&serde_json::Value| {
        program["pids"].as_array().is_some_and(|holders| holders.iter().any(|holder| holder["pid"] == process))
            || program["name"] == "every_call"
    };
    Some(list.as_array()?.iter().filter(holds).filter_map(|program| program["id"].as_u64()).collect())
}

fn still_loaded(programs: &[u64]) -> bool {
    let Some(list) = bpftool(&[]) else { return false };
    list.as_array().is_some_and(|list| list.iter().any(|program| program["id"].as_u64().is_some_and(|id| programs.contains(&id))))
}

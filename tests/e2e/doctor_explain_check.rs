//! `srt doctor`, `explain`, `check`, `profiles`, `completions`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use serde_json::Value;
use srt_tests::{Area, Outcome, as_root, as_user, for_each_identity};

fn json(outcome: &Outcome) -> Value {
    serde_json::from_slice(&outcome.stdout).unwrap_or_else(|error| panic!("no JSON on standard output: {error}\n{outcome}"))
}

#[test]
fn check_says_what_a_run_does_and_names_rule_and_origin() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/secret", "secret");
        area.file("work/hole/file", "kept");
        area.file("work/.bashrc", "kept");
        let rules = area.rules().deny_read(area.text("work/secret")).deny_write(area.text("work/hole"));
        let settings = area.settings(&rules);
        let check = |verb: &str, target: &str| area.bare_srt().args(&["check", "--settings", &settings, verb, target]).run();
        // Verb, target, and the operation of the probe that must come to the same.
        let cases = [
            ("read", "work/hole/file", "read"),
            ("read", "work/secret", "read"),
            ("write", "work/hole/file", "append"),
            ("write", "work/secret", "append"),
            ("write", "work/.bashrc", "append"),
            ("write", "work/new", "create"),
            ("write", "outside/new", "create"),
            ("read", "outside", "readdir"),
        ];
        for (verb, path, operation) in cases {
            let happened = area.probe(&rules, &[operation, &area.text(path)]).run();
            let verdict = check(verb, &area.text(path));
            let expected = i32::from(happened.code() != Some(0));
            assert_eq!(verdict.code(), Some(expected), "check {verb} {path}\n{verdict}\n{happened}");
            assert!(!verdict.out().is_empty(), "{verdict}");
        }
        let file = settings.rsplit('/').next().expect("a path has a last component");
        check("read", &area.text("work/secret")).assert_out_has(&format!("{file}:"));
        check("write", &area.text("work/hole/file")).assert_out_has(&format!("{file}:"));
        check("write", &area.text("work/new")).assert_out_has(&format!("{file}:"));
        check("write", &area.text("work/.bashrc")).assert_out_has("built-in");
    });
}

#[test]
fn check_connect_says_what_the_proxy_does() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings =
            area.settings(&area.rules().allow_domain("*.example.com").allow_domain("one.test:443").deny_domain("bad.example.com"));
        let check = |target: &str| area.bare_srt().args(&["check", "--settings", &settings, "connect", target]).run();
        for (target, code) in [
            ("a.example.com:443", 0),
            ("A.EXAMPLE.COM.:443", 0),
            ("example.com:443", 1),
            ("bad.example.com:443", 1),
            ("one.test:443", 0),
            ("one.test:80", 1),
            ("192.0.2.1:443", 1),
            ("evil.test:443", 1),
        ] {
            let outcome = check(target);
            assert_eq!(outcome.code(), Some(code), "{target}\n{outcome}");
        }
        check("bad.example.com:443").assert_out_has("net.").assert_out_has(".json:");
        check("evil.test:443").assert_out_has("net.");
    });
}

#[test]
fn checks_run_nothing_and_change_nothing() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&area.rules());
        let before = area.snapshot();
        for line in
            [&["check", "--settings", &settings, "write", "new"][..], &["explain", "--settings", &settings], &["doctor"], &["profiles"]]
        {
            area.bare_srt().args(line).run();
        }
        before.assert_unchanged(area.root());
    });
}

#[test]
fn explain_prints_the_plan_with_the_origin_of_each_rule() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/secret", "secret");
        let settings = area.settings(&area.rules().deny_read(area.text("work/secret")).allow_domain("*.example.com"));
        let text = area.bare_srt().args(&["explain", "--settings", &settings]).run();
        text.assert_code(0).assert_out_has(&area.text("work/secret")).assert_out_has("*.example.com").assert_out_has(".json:");
        let plan = json(area.bare_srt().args(&["explain", "--json", "--settings", &settings]).run().assert_code(0));
        let plan = plan.to_string();
        for part in [&area.text("work/secret"), &area.text("work"), "*.example.com", "origin"] {
            assert!(plan.contains(part), "{part} is not in {plan}");
        }
    });
}

#[test]
fn explain_of_bad_settings_is_refused_like_a_run() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let file = area.file("outside/bad.json", "{ \"nonsense\": 1 }").display().to_string();
        for command in [&["explain"][..], &["check", "read", "/etc/passwd"]] {
            let outcome = area.bare_srt().args(&command[..1]).args(&["--settings", &file]).args(&command[1..]).run();
            outcome.assert_refused().assert_err_has("bad.json:1:3");
        }
    });
}

#[test]
fn doctor_names_every_layer() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let text = area.bare_srt().args(&["doctor"]).run();
        for layer in ["namespaces", "mounts", "landlock", "seccomp", "ebpf", "monitor"] {
            assert!(text.out().to_lowercase().contains(layer), "{layer}\n{text}");
        }
        let report = json(&area.bare_srt().args(&["doctor", "--json"]).run()).to_string().to_lowercase();
        for layer in ["landlock", "seccomp", "namespace"] {
            assert!(report.contains(layer), "{layer} is not in {report}");
        }
    });
}

/// The oracle is the kernel: its knobs, and the capabilities of a process that the same identity starts.
#[test]
fn doctor_tells_what_the_host_allows_ebpf() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let outcome = area.bare_srt().args(&["doctor", "--json"]).run();
        let report = json(&outcome);
        let host = &report["ebpf_host"];
        let status = area.outside("/bin/cat").args(&["/proc/self/status"]).run().assert_code(0).out();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("the kernel tells of capabilities");
        let effective = u64::from_str_radix(effective.trim(), 16).expect("capabilities are a number");
        for (name, number) in [("cap_bpf", 39), ("cap_perfmon", 38)] {
            assert_eq!(host[name], effective >> number & 1 != 0, "{name}\n{outcome}");
        }
        assert_eq!(host["btf"], Path::new("/sys/kernel/btf/vmlinux").exists(), "{outcome}");
        let knob = std::fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").ok();
        let knob = knob.and_then(|text| text.trim().parse::<i64>().ok());
        assert_eq!(host["unprivileged_bpf_disabled"].as_i64(), knob, "{outcome}");
        // Attached and refused exclude each other.
        assert_eq!(report["ebpf"]["answer"] == "yes", !host["attached"].is_null(), "{outcome}");
    });
}

#[test]
fn doctor_tells_how_the_kernel_program_was_attached() {
    as_root(|who| {
        let area = Area::new(who);
        let report = json(&area.bare_srt().args(&["doctor", "--json"]).run());
        let text = area.bare_srt().args(&["doctor"]).run();
        let host = &report["ebpf_host"];
        if host["attached"].is_null() {
            srt_tests::skip!("{}: this host lets root load no eBPF program: {}", who.name, report["ebpf"]);
        }
        match host["attached"]["by"].as_str() {
            Some("every-call") => text.assert_out_has("by one hook after every call").assert_out_has("75 ns"),
            Some("calls") => {
                let missing = host["attached"]["missing"].as_array().expect("a list of functions");
                for function in missing.iter().filter_map(Value::as_str) {
                    text.assert_out_has(function);
                }
                text.assert_out_has("by a hook on each call")
            }
            other => panic!("attached by {other:?}\n{text}"),
        };
        // Nothing is tried that was taken away.
        let without = area.bare_srt().args(&["doctor", "--json", "--without", "ebpf"]).run();
        assert_eq!(json(&without)["ebpf_host"]["attached"], Value::Null, "{without}");
    });
}

#[test]
fn doctor_names_cause_and_remedy_where_ebpf_is_refused() {
    as_user(|who| {
        let area = Area::new(who);
        let text = area.bare_srt().args(&["doctor"]).run();
        let lines: Vec<String> = text.out().lines().map(str::to_owned).collect();
        let place = lines.iter().position(|line| line.starts_with("ebpf        not used: CAP_BPF"));
        let remedy = place.and_then(|place| lines.get(place + 1));
        assert!(remedy.is_some_and(|line| line.contains("remedy:") && line.contains("srt monitor")), "{text}");
        // Not a gap: the status is that of the layers which enforce something.
        let with = area.bare_srt().args(&["doctor", "--without", "ebpf"]).run();
        assert_eq!(text.code(), with.code(), "{text}\n{with}");
    });
}

#[test]
fn doctor_tells_whether_the_monitor_service_listens() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let path = area.text("outside/monitor.sock");
        let doctor = |more: &[&str]| area.bare_srt().args(&["doctor"]).args(more).env("SRT_MONITOR_SOCKET", &path).run();
        doctor(&[]).assert_out_has("monitor     not used").assert_out_has(&path).assert_out_has("srt monitor");
        assert_eq!(json(&doctor(&["--json"]))["monitor_service"]["listens"]["answer"], "no");

        let service = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
        bind(&service, &SocketAddrUnix::new(path.as_str()).expect("a short path")).expect("an address");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("anybody may connect");
        // Bound, and nobody listens: as after the end of a service.
        doctor(&[]).assert_out_has("monitor     not used");
        listen(&service, 8).expect("a listener");
        let own = std::process::id();
        doctor(&[])
            .assert_out_has("monitor     found")
            .assert_out_has(&format!("process {own}, uid {}", rustix::process::geteuid().as_raw()));
        let report = json(&doctor(&["--json"]));
        assert_eq!(report["monitor_service"]["listener"]["pid"], own, "{report}");
    });
}

#[test]
fn the_presets_are_listed_and_shown_and_each_rule_has_a_reason() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let list = area.bare_srt().args(&["profiles"]).run();
        for name in ["default", "rust", "node", "python", "go"] {
            list.assert_code(0).assert_out_has(name);
            let shown = area.bare_srt().args(&["profiles", name]).run();
            shown.assert_code(0).assert_out_has("//");
            // What is shown is itself a settings file.
            let file = area.file(&format!("outside/{name}.json"), &shown.out()).display().to_string();
            // Without a home, most of the caches that it names do not exist.
            area.bare_srt().args(&["run", "--accept-gap", "name-rules", "--settings", &file, "--", "true"]).run().assert_code(0);
            area.bare_srt().args(&["run", "--profile", name, "--", "true"]).run().assert_code(0);
        }
    });
}

#[test]
fn completions_are_printed_for_the_usual_shells() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for shell in ["bash", "zsh", "fish"] {
            area.bare_srt().args(&["completions", shell]).run().assert_code(0).assert_out_has("explain");
        }
        area.bare_srt().args(&["completions", "no-such-shell"]).run().assert_code(125);
    });
}

/// Without a broker, a protected name that does not exist can be made by the command: the verdict alone would be a promise that a run does not keep.
#[test]
fn check_says_where_a_rule_on_a_name_is_not_enforced() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/.bashrc", "kept");
        let settings = area.settings(&area.rules());
        let check = |more: &[&str], target: &str| {
            area.bare_srt().args(&["check", "--settings", &settings]).args(more).args(&["write", &area.text(target)]).run()
        };
        let without = ["--without", "user-notification"];
        for missing in ["work/.zshrc", "work/.git/hooks/pre-commit", "work/deep/.mcp.json"] {
            check(&without, missing).assert_code(1).assert_out_has("denied:").assert_out_has("note: not enforced");
            let outcome = check(&[], missing);
            assert!(!outcome.assert_code(1).out().contains("note:"), "{outcome}");
        }
        for enforced in ["work/.bashrc", "outside/new"] {
            let outcome = check(&without, enforced);
            assert!(!outcome.assert_code(1).out().contains("note:"), "{outcome}");
        }
    });
}

#[test]
fn explain_lists_the_names_that_are_not_enforced() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/there", "kept");
        let (missing, hidden) = (area.text("work/missing"), area.text("work/unborn"));
        let rules = area.rules().deny_write(&missing).deny_read(&hidden).deny_write(area.text("work/there"));
        let settings = area.settings(&rules);
        let with_broker = area.bare_srt().args(&["explain", "--settings", &settings]).run().assert_code(0).out();
        let listed = with_broker.split("not enforced").nth(1).unwrap_or_default();
        assert!(listed.contains(&hidden) && !listed.contains(&missing), "{with_broker}");
        let explain =
            |more: &[&str]| area.bare_srt().args(&["explain", "--settings", &settings, "--without", "user-notification"]).args(more).run();
        explain(&[]).assert_refused().assert_err_has("name-rules").assert_err_has(&missing).assert_err_has(&format!("  from {settings}:"));
        let text = explain(&["--accept-gap", "name-rules"]).assert_code(0).out();
        let listed = text.split("not enforced").nth(1).unwrap_or_default();
        assert!(listed.contains(&missing) && listed.contains(&hidden) && !listed.contains("work/there"), "{text}");
        let plan = json(explain(&["--json", "--accept-gap", "name-rules"]).assert_code(0));
        let listed = plan["names_not_enforced"].to_string();
        assert!(listed.contains(&missing) && listed.contains(&hidden) && !listed.contains("work/there"), "{listed}");
    });
}

#[test]
fn explain_says_whether_denied_reads_are_reported() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for (reads, told) in [(true, true), (false, false)] {
            let rules = area.rules().set("", "violations", serde_json::json!({ "reads": reads }));
            let settings = area.settings(&rules);
            let text = area.bare_srt().args(&["explain", "--settings", &settings]).run().assert_code(0).out();
            assert_eq!(text.contains("denied reads too"), told, "{text}");
            let json = area.bare_srt().args(&["explain", "--json", "--settings", &settings]).run().assert_code(0).out();
            let json: serde_json::Value = serde_json::from_str(&json).expect("explain prints JSON");
            assert_eq!(json["reports_reads"], reads);
        }
    });
}

/// The profile that a Mac would enforce can be read here: the same settings and origins, and nothing that this kernel lacks is a gap there.
#[test]
fn explain_prints_the_profile_of_macos() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/secret", "secret");
        let rules = area.rules().deny_read(area.text("work/secret")).allow_domain("*.example.com").set("", "allowPty", true.into());
        let settings = area.settings(&rules);
        let explain = |more: &[&str]| area.bare_srt().args(&["explain", "--platform", "macos", "--settings", &settings]).args(more).run();
        let text = explain(&["--without", "user-notification"]).assert_code(0).out();
        for part in
            ["(version 1)", "(deny default", "(subpath \"", &area.text("work/secret"), "(allow pseudo-tty)", ".json:", "*.example.com"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
        // What is no rule is a comment, so that the whole can be handed to the system.
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with(['(', ';', ' '])), "{text}");
        let report = json(&explain(&["--json"]));
        assert_eq!((report["platform"].as_str(), report["allowed_hosts"][0]["entry"].as_str()), (Some("macos"), Some("*.example.com")));
        assert!(report["profile"].as_str().is_some_and(|profile| profile.contains("(allow pseudo-tty)")));
        let linux = area.bare_srt().args(&["explain", "--debug", "--platform", "linux", "--settings", &settings]).run();
        linux.assert_code(0).assert_err_has("allowPty has no effect here").assert_out_has("own namespace");
        assert!(!explain(&["--debug"]).err().contains("allowPty has no effect"));
        explain(&["--platform", "beos"]).assert_code(125);
    });
}

//! `--status-fd` and `--control-fd`: the protocol for programs.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use srt_tests::server::{GREETING, Server};
use srt_tests::{Area, Program, Rules, for_each_identity};

/// A run with the protocol: status in a file, control from a FIFO.
struct Protocol<'a> {
    area: &'a Area,
    control: File,
}

impl<'a> Protocol<'a> {
    fn new(area: &'a Area) -> Self {
        let fifo = area.path("outside/control");
        let made = std::process::Command::new("mkfifo").args(["-m", "666"]).arg(&fifo).status().expect("mkfifo runs");
        assert!(made.success());
        let control = File::options().read(true).write(true).open(&fifo).expect("a FIFO opens");
        Protocol { area, control }
    }

    /// `srt run --status-fd 4 --control-fd 5 OPTIONS -- sh -c SCRIPT`.
    fn program(&self, rules: &Rules, options: &[&str], script: &str) -> Program {
        let (status, control) = (self.area.text("outside/status"), self.area.text("outside/control"));
        let program =
            self.area.bare_srt().args(&["run", "--settings", &self.area.settings(rules), "--status-fd", "4", "--control-fd", "5"]);
        program.args(options).args(&["--", "sh", "-c", script]).through_shell(&format!("exec \"$@\" 4>{status} 5<{control}"))
    }

    fn send(&mut self, line: &Value) {
        writeln!(self.control, "{line}").expect("the FIFO takes a line");
    }

    fn lines(&self) -> Vec<Value> {
        let text = self.area.content("outside/status");
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// Waits for a line of this type, after the first `skip` of them.
    #[track_caller]
    fn wait(&self, kind: &str, skip: usize) -> Value {
        let start = Instant::now();
        loop {
            if let Some(line) = self.lines().into_iter().filter(|line| line["type"] == kind).nth(skip) {
                return line;
            }
            assert!(start.elapsed() < srt_tests::patience(30), "no {kind}: {:?}", self.lines());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Waits inside until the test makes `work/NAME`.
fn until(name: &str) -> String {
    format!("while [ ! -e {name} ]; do sleep 0.02; done; ")
}

#[test]
fn a_run_tells_its_start_its_denials_and_its_end() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let protocol = Protocol::new(&area);
        let probe = srt_tests::probe().display();
        let script = format!("{probe} connect-get a.test:443; {probe} connect-get a.test:443; {}exit 7", until("go"));
        let running = protocol.program(&area.rules(), &[], &script).spawn();
        let started = protocol.wait("started", 0);
        let pid = started["pid"].as_i64().expect("the command has an id");
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(String::from_utf8_lossy(&words).contains("connect-get"), "{pid} is not the command");
        let event = protocol.wait("violation", 0)["event"].clone();
        assert_eq!((event["target"].as_str(), event["count"].as_u64(), event["v"].as_u64()), (Some("a.test:443"), Some(1), Some(1)));
        area.file("work/go", "");
        running.wait().assert_code(7);
        let again = protocol.wait("violation", 1);
        assert_eq!(again["event"]["count"], 2, "the final count");
        let last = protocol.lines().pop().expect("there are lines");
        let expected = json!({"v": 1, "type": "exit", "code": 7, "status": 7, "signal": null, "violations": 2, "error": null});
        assert_eq!(last, expected);
    });
}

#[test]
fn the_end_by_a_signal_and_a_missing_program_are_told() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let protocol = Protocol::new(&area);
        protocol.program(&area.rules(), &[], "kill -TERM $$").run().assert_code(143);
        assert_eq!(protocol.wait("exit", 0)["signal"], 15);
        let status = area.text("outside/other");
        let missing = area.bare_srt().args(&["run", "--status-fd", "4", "--", "no-such-program"]);
        missing.through_shell(&format!("exec \"$@\" 4>{status}")).run().assert_code(127);
        let line: Value = serde_json::from_str(area.content("outside/other").trim()).expect("one line");
        assert!(
            line["code"] == 127
                && line["status"].is_null()
                && line["error"].as_str().is_some_and(|error| error.contains("no-such-program"))
        );
    });
}

#[test]
fn the_command_gets_neither_descriptor() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let protocol = Protocol::new(&area);
        let outcome = protocol.program(&area.rules(), &[], "ls /proc/self/fd; echo forged >&4; read x <&5").run();
        assert!(!outcome.out().split_whitespace().any(|number| number == "4" || number == "5"), "{outcome}");
        assert!(!area.content("outside/status").contains("forged"));
    });
}

#[test]
fn descriptors_that_cannot_be_used_are_refused_before_the_command() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let file = area.file("outside/file", "");
        let file = file.display();
        for (options, redirection) in [
            (&["--status-fd", "9"][..], String::new()),
            (&["--control-fd", "9"], String::new()),
            (&["--status-fd", "4"], format!("4<{file}")),
            (&["--control-fd", "4"], format!("4>>{file}")),
            (&["--status-fd", "4"], "4</".to_owned()),
            (&["--control-fd", "4"], "4</".to_owned()),
            (&["--status-fd", "4", "--pass-fd", "4"], format!("4>>{file}")),
            (&["--status-fd", "1"], String::new()),
            (&["--control-fd", "x"], String::new()),
        ] {
            let program = area.bare_srt().args(&["run"]).args(options).args(&["--", "touch", "mark"]);
            let outcome = program.through_shell(&format!("exec \"$@\" {redirection}")).run();
            outcome.assert_code(125).assert_err_has(options[0]);
            assert!(!area.has("work/mark"), "{outcome}");
        }
    });
}

#[test]
fn a_reader_that_does_not_read_does_not_hold_the_command_up() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let (probe, fifo) = (srt_tests::probe().display(), area.text("outside/full"));
        std::process::Command::new("mkfifo").args(["-m", "666", &fifo]).status().expect("mkfifo runs");
        let reader = File::options().read(true).write(true).open(&fifo).expect("a FIFO opens");
        // More than the 64 KiB of a pipe.
        let script = format!(
            "i=0; while [ $i -lt 300 ]; do {probe} connect-get $i.{}.test:443; i=$((i+1)); done >/dev/null 2>&1; echo done",
            "x".repeat(60)
        );
        let program = area.bare_srt().args(&["run", "--violations", "off", "--status-fd", "4", "--", "sh", "-c", &script]);
        program.through_shell(&format!("exec \"$@\" 4>{fifo}")).run().assert_code(0).assert_prints("done");
        drop(reader);
        // A reader that is gone: no signal, no message.
        let gone = area.bare_srt().args(&["run", "--violations", "off", "--status-fd", "4", "--", "sh", "-c", &script]);
        gone.through_shell("exec 4> >(exec true); sleep 0.2; exec \"$@\"").run().assert_code(0).assert_prints("done");
    });
}

#[test]
fn settings_change_while_the_command_runs() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let mut protocol = Protocol::new(&area);
        let (probe, target) = (srt_tests::probe().display(), server.name());
        let get = |mark: &str| format!("{probe} connect-get {target}; echo {mark}; ");
        let script = get("first") + &until("go1") + &get("second") + &until("go2") + &get("third");
        let mut running = protocol.program(&area.rules(), &[], &script).spawn();
        running.wait_for("first");
        assert!(!running.stdout_so_far().contains(GREETING));
        let settings = |domains: Value| json!({"network": {"allowedDomains": domains, "deniedDomains": []}, "filesystem": {"denyRead": [], "allowWrite": [area.text("work")], "denyWrite": []}});
        protocol.send(&settings(json!([target])));
        let updated = protocol.wait("updated", 0);
        assert_eq!((updated["line"].as_u64(), updated["ignored"].clone()), (Some(1), json!([])));
        area.file("work/go1", "");
        running.wait_for("second");
        assert!(running.stdout_so_far().contains(GREETING));
        // Not a patch: what the line does not say is not allowed any more.
        protocol.send(&settings(json!([])));
        protocol.wait("updated", 1);
        area.file("work/go2", "");
        let outcome = running.wait();
        assert_eq!(outcome.out().matches(GREETING).count(), 1, "{outcome}");
    });
}

#[test]
fn a_bad_line_changes_nothing_and_is_told() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let mut protocol = Protocol::new(&area);
        let (probe, target) = (srt_tests::probe().display(), server.name());
        let script = until("go") + &format!("{probe} connect-get {target}");
        let running = protocol.program(&area.rules().allow_domain(&target), &[], &script).spawn();
        protocol.wait("started", 0);
        let bad = [
            "nonsense",
            "{}x",
            r#"{"netwerk": {}}"#,
            r#"{"network": {"allowedDomains": ["*"]}}"#,
            r#"{"type": "stop"}"#,
            r#"{"type": "answer", "id": 1, "allow": true}"#,
        ];
        for line in bad {
            writeln!(protocol.control, "{line}").expect("the FIFO takes a line");
        }
        let last = protocol.wait("error", bad.len() - 1);
        assert_eq!(last["line"], bad.len());
        let fault = protocol.wait("error", 2)["message"].as_str().unwrap_or_default().to_owned();
        assert!(fault.contains("netwerk") && fault.contains("control line 3:1:"), "{fault}");
        area.file("work/go", "");
        let outcome = running.wait();
        outcome.assert_out_has(GREETING);
    });
}

#[test]
fn a_run_without_a_file_takes_settings_too() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let mut protocol = Protocol::new(&area);
        protocol.send(&json!({"network": {"allowedDomains": [server.name()]}}));
        let (status, control) = (area.text("outside/status"), area.text("outside/control"));
        let script = format!("while ! {} connect-get {}; do sleep 0.05; done", srt_tests::probe().display(), server.name());
        let program = area.bare_srt().args(&["run", "--status-fd", "4", "--control-fd", "5", "--", "sh", "-c", &script]);
        program.through_shell(&format!("exec \"$@\" 4>{status} 5<{control}")).run().assert_code(0).assert_out_has(GREETING);
        assert_eq!(protocol.wait("updated", 0)["ignored"], json!([]));
    });
}

#[test]
fn rules_on_names_change_while_the_command_runs() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let mut protocol = Protocol::new(&area);
        let script =
            format!("echo 1 >a; echo ready; {}echo 2 >a; echo 2 >b.key; {}echo 3 >a; echo 3 >b.key; true", until("go1"), until("go2"));
        let mut running = protocol.program(&area.rules(), &[], &script).spawn();
        running.wait_for("ready");
        let settings = |denied: Value| json!({"filesystem": {"denyRead": [], "allowWrite": [area.text("work")], "denyWrite": denied}});
        protocol.send(&settings(json!([area.text("work/a"), area.text("work/*.key")])));
        assert_eq!(protocol.wait("updated", 0)["ignored"], json!([]));
        area.file("work/go1", "");
        let targets = [0, 1].map(|skip| protocol.wait("violation", skip)["event"]["target"].clone());
        assert_eq!(targets, [area.text("work/a"), area.text("work/b.key")]);
        assert!(area.content("work/a") == "1\n" && !area.has("work/b.key"));
        protocol.send(&settings(json!([])));
        protocol.wait("updated", 1);
        area.file("work/go2", "");
        running.wait();
        assert_eq!((area.content("work/a"), area.content("work/b.key")), ("3\n".to_owned(), "3\n".to_owned()));
    });
}

#[test]
fn what_cannot_change_is_named() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let mut protocol = Protocol::new(&area);
        let running = protocol.program(&area.rules(), &[], &until("go")).spawn();
        protocol.wait("started", 0);
        protocol.send(&json!({
            "network": {"allowAllUnixSockets": true},
            "filesystem": {"denyRead": [area.text("outside")], "allowWrite": [area.text("work"), area.text("home")]},
            "credentials": {"envVars": [{"name": "TOKEN", "mode": "deny"}]},
        }));
        let ignored = protocol.wait("updated", 0)["ignored"].clone();
        let ignored: Vec<&str> = ignored.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        for key in ["network.allowAllUnixSockets", "filesystem.denyRead", "filesystem.allowWrite", "credentials.envVars"] {
            assert!(ignored.contains(&key), "{key}: {ignored:?}");
        }
        area.file("work/go", "");
        running.wait().assert_code(0);
    });
}

#[test]
fn a_program_is_asked_and_its_answer_holds() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let mut protocol = Protocol::new(&area);
        let (probe, target) = (srt_tests::probe().display(), server.name());
        let get = format!("{probe} connect-get {target}; echo end; ");
        let running = protocol.program(&area.rules(), &["--ask"], &get.repeat(4)).spawn();
        for (number, (allow, remember)) in [(false, "once"), (true, "once"), (true, "run")].into_iter().enumerate() {
            let asked = protocol.wait("ask", number);
            assert_eq!((asked["host"].as_str(), asked["port"].as_u64()), (Some("localhost"), Some(server.address.port().into())));
            protocol.send(&json!({"type": "answer", "id": asked["id"], "allow": allow, "remember": remember}));
            assert_eq!(protocol.wait("answered", number)["remember"], remember);
        }
        let outcome = running.wait();
        assert_eq!(outcome.out().matches(GREETING).count(), 3, "{outcome}");
        outcome.assert_one_event(&target, "net.ask");
    });
}

#[test]
fn always_is_written_to_the_settings_file_with_its_comments() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let mut protocol = Protocol::new(&area);
        let text = format!("{{\n  // mine\n  \"filesystem\": {{\"allowWrite\": [\"{}\"]}}, // kept\n}}\n", area.text("work"));
        let settings = area.file("outside/mine.json", &text);
        let (status, control) = (area.text("outside/status"), area.text("outside/control"));
        let probe = srt_tests::probe().display().to_string();
        let program = area.bare_srt().args(&[
            "run",
            "--config",
            &settings.display().to_string(),
            "--status-fd",
            "4",
            "--control-fd",
            "5",
            "--ask",
            "--",
            &probe,
            "connect-get",
            &server.name(),
        ]);
        let running = program.through_shell(&format!("exec \"$@\" 4>{status} 5<{control}")).spawn();
        let asked = protocol.wait("ask", 0);
        protocol.send(&json!({"type": "answer", "id": asked["id"], "allow": true, "remember": "always"}));
        running.wait().assert_code(0).assert_out_has(GREETING);
        let after = area.content("outside/mine.json");
        assert!(after.contains("// mine") && after.contains("// kept") && after.contains(&format!("\"{}\"", server.name())), "{after}");
        area.bare_srt().args(&["check", "--config", &settings.display().to_string(), "connect", &server.name()]).run().assert_code(0);
    });
}

/// The file lies where the command may write: it stays the same file, so that what keeps the command from writing it stays too.
#[test]
fn always_leaves_a_settings_file_in_a_write_root_protected() {
    use std::os::unix::fs::MetadataExt;
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let mut protocol = Protocol::new(&area);
        let settings = area.file("work/.srt.json", &area.rules().text());
        let inode = settings.metadata().expect("it was made").ino();
        let (status, control) = (area.text("outside/status"), area.text("outside/control"));
        let script = format!(
            "{} connect-get {}; echo x >.srt.json; mv .srt.json y; rm .srt.json; echo end",
            srt_tests::probe().display(),
            server.name()
        );
        let program = area.bare_srt().args(&[
            "run",
            "--config",
            ".srt.json",
            "--status-fd",
            "4",
            "--control-fd",
            "5",
            "--ask",
            "--",
            "sh",
            "-c",
            &script,
        ]);
        let running = program.through_shell(&format!("exec \"$@\" 4>{status} 5<{control}")).spawn();
        let asked = protocol.wait("ask", 0);
        protocol.send(&json!({"type": "answer", "id": asked["id"], "allow": true, "remember": "always"}));
        running.wait().assert_out_has(GREETING).assert_out_has("end");
        assert_eq!(settings.metadata().expect("it is still there").ino(), inode);
        let after: Value = serde_json::from_str(&area.content("work/.srt.json")).expect("whole settings");
        assert_eq!(after["network"]["allowedDomains"], json!([server.name()]));
        assert!(!area.has("work/y"));
    });
}

#[test]
fn without_anybody_to_ask_it_is_as_without_the_option() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let probe = srt_tests::probe().display().to_string();
        let program =
            area.bare_srt().args(&["run", "--settings", &area.settings(&area.rules()), "--ask", "--", &probe, "connect-get", "a.test:443"]);
        let start = Instant::now();
        program.through_shell("exec setsid -w \"$@\"").run().assert_one_event("a.test:443", "net.default");
        assert!(start.elapsed() < srt_tests::patience(30), "nobody was waited for");
    });
}

#[test]
fn a_strict_list_is_not_asked_about() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let protocol = Protocol::new(&area);
        let rules = area.rules().set("network", "strictAllowlist", json!(true));
        let script = format!("{} connect-get a.test:443", srt_tests::probe().display());
        protocol.program(&rules, &["--ask"], &script).run().assert_one_event("a.test:443", "net.default");
        assert!(protocol.lines().iter().all(|line| line["type"] != "ask"));
    });
}

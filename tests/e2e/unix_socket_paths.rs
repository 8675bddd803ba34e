//! UNIX sockets by path: which ones `allowUnixSockets` opens, for every call and spelling, and which stay closed.
//!
//! The servers are probes outside; a socket was reached when its server says so.

use rustix::process::Signal;
use serde_json::json;
use srt_tests::{Area, Events, Expected, Identity, Rules, Running, each, for_each_identity};

/// A server outside, as the same identity, so that no file permission stands in the way.
struct Server(Option<Running>);

impl Server {
    fn start(area: &Area, kind: &str, path: &str) -> Self {
        let mut running = area.probe_outside(&["serve-unix", kind, path]).spawn();
        running.wait_for("ready");
        Server(Some(running))
    }

    /// How often it was reached. One more attempt from outside comes last, so that nothing is still on its way.
    fn reached(&mut self, area: &Area, kind: &str, path: &str) -> usize {
        let running = self.0.as_mut().expect("it runs until it is dropped");
        area.probe_outside(&["connect-unix", kind, path]).run().assert_prints("ok");
        if kind == "dgram" {
            area.probe_outside(&["send-unix", "sendto", path]).run().assert_prints("ok");
        }
        let count = |running: &Running| running.stdout_so_far().matches("reached").count();
        let mut before = usize::MAX;
        while count(running) == 0 || count(running) != before {
            before = count(running);
            srt_tests::pause(50);
        }
        before - 1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.signal(Signal::KILL);
            running.wait();
        }
    }
}

/// Kind of socket and call.
const CALLS: &[(&str, &str)] = &[
    ("stream", "connect"),
    ("seqpacket", "connect"),
    ("dgram", "connect"),
    ("dgram", "sendto"),
    ("dgram", "sendmsg"),
    ("dgram", "sendmmsg"),
];

fn operation<'a>((kind, call): (&'a str, &'a str), path: &'a str) -> [&'a str; 3] {
    if call == "connect" { ["connect-unix", kind, path] } else { ["send-unix", call, path] }
}

fn allowing(area: &Area, paths: &[&str]) -> Rules {
    let paths: Vec<_> = paths.iter().map(|path| area.text(path)).collect();
    area.rules().set("network", "allowUnixSockets", json!(paths))
}

/// Spellings of `outside/s` from `work/`.
fn spellings(area: &Area) -> Vec<String> {
    area.link("../outside/s", "work/to-socket");
    area.link("../outside", "work/to-dir");
    let real = area.text("outside/s");
    vec![
        real.clone(),
        "../outside/s".into(),
        "to-socket".into(),
        "to-dir/s".into(),
        "to-dir/../outside/./s".into(),
        format!("/proc/self/root{real}"),
        "/proc/self/cwd/../outside/s".into(),
        format!("/proc/thread-self/root{real}"),
        format!("/{real}"),
    ]
}

fn each_call_and_spelling(who: Identity, rules: impl Fn(&Area) -> Rules, expected: &str) {
    each(CALLS, |&&call| {
        let area = Area::new(who);
        let path = area.text("outside/s");
        let mut server = Server::start(&area, call.0, &path);
        let mut successes = 0;
        for spelling in spellings(&area) {
            area.probe_outside(&operation(call, &spelling)).run().assert_prints("ok");
            let outcome = area.probe(&rules(&area), &operation(call, &spelling)).run();
            outcome.assert_prints(expected);
            successes += 1 + usize::from(expected == "ok");
        }
        // A datagram socket is reached by what is sent, not by connect(2).
        let arrived = if call == ("dgram", "connect") { 0 } else { successes };
        assert_eq!(server.reached(&area, call.0, &path), arrived, "{call:?}");
    });
}

#[test]
fn an_unlisted_socket_is_reached_by_no_call_and_no_spelling() {
    for_each_identity(|who| each_call_and_spelling(who, |area| allowing(area, &["outside/other"]), "EPERM"));
}

#[test]
fn a_socket_is_unreachable_without_any_list() {
    for_each_identity(|who| each_call_and_spelling(who, Area::rules, "EPERM"));
}

#[test]
fn a_listed_socket_is_reached_by_every_call_and_spelling() {
    for_each_identity(|who| each_call_and_spelling(who, |area| allowing(area, &["outside/s"]), "ok"));
}

#[test]
fn entries_are_paths_patterns_directories_and_names_that_do_not_exist_yet() {
    for_each_identity(|who| {
        each(
            [("outside/s", "EPERM"), ("outside/*.sock", "ok"), ("outside", "ok"), ("outside/x.sock", "ok"), ("outside/x", "EPERM")],
            |(entry, answer)| {
                let area = Area::new(who);
                let path = area.text("outside/x.sock");
                let rules = allowing(&area, &[entry]);
                let mut script = area
                    .shell(
                        &rules,
                        &format!(
                            "echo begun; while ! [ -S {path} ]; do sleep 0.01; done; sleep 0.1; {} connect-unix stream {path}",
                            srt_tests::probe().display()
                        ),
                    )
                    .spawn();
                script.wait_for("begun");
                let _server = Server::start(&area, "stream", &path);
                assert_eq!(script.wait().out().lines().last(), Some(*answer), "{entry}");
            },
        );
    });
}

#[test]
fn a_path_of_the_greatest_length_is_judged_like_any_other() {
    for_each_identity(|who| {
        let area = Area::new(who);
        // sun_path holds 108 bytes; the kernel takes 108 without the end of string, C libraries write it (unix(7)).
        let room = 107 - area.text("outside").len() - 1;
        let name = format!("outside/{}", "n".repeat(room));
        let path = area.text(&name);
        assert_eq!(path.len(), 107);
        let mut server = Server::start(&area, "stream", &path);
        area.probe(&area.rules(), &["connect-unix", "stream", &path]).run().assert_prints("EPERM");
        area.probe(&allowing(&area, &[&name]), &["connect-unix", "stream", &path]).run().assert_prints("ok");
        assert_eq!(server.reached(&area, "stream", &path), 1);
    });
}

#[test]
fn exactly_one_event_tells_of_a_denied_socket() {
    for_each_identity(|who| {
        each(CALLS, |&&call| {
            let area = Area::new(who);
            let path = area.text("outside/s");
            let _server = Server::start(&area, call.0, &path);
            let (outcome, events) = Events::of_probe(&area, &area.rules(), &operation(call, "../outside/s"));
            outcome.assert_prints("EPERM");
            let expected = Expected { kind: "unix.connect", operations: &[call.1], target: &path, errno: &["EPERM"], rule: "" };
            events.assert_only(expected, &outcome);
            let (outcome, events) = Events::of_probe(&area, &allowing(&area, &["outside/s"]), &operation(call, "../outside/s"));
            outcome.assert_prints("ok");
            events.assert_none(&outcome);
        });
    });
}

#[test]
fn a_socket_that_is_not_there_or_has_no_listener_is_no_matter_of_policy() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for (path, expected) in
            [("work/missing", "ENOENT"), ("work/plain", "ECONNREFUSED"), ("work/dir", "ECONNREFUSED"), ("work/plain/x", "ENOTDIR")]
        {
            area.file("work/plain", "");
            area.dir("work/dir");
            let operation = ["connect-unix", "stream", &area.text(path)];
            area.probe_outside(&operation).run().assert_prints(expected);
            let (outcome, events) = Events::of_probe(&area, &area.rules(), &operation);
            outcome.assert_prints(expected);
            events.assert_none(&outcome);
        }
    });
}

#[test]
fn sockets_that_the_sandbox_made_itself_work_without_being_listed() {
    for_each_identity(|who| {
        each(["stream", "dgram", "seqpacket"], |kind| {
            let area = Area::new(who);
            area.dir("work/d");
            area.link("d", "work/to-d");
            let absolute = area.text("work/third");
            for (bound, reached) in [("own", "own"), ("d/second", "to-d/second"), (&absolute, "third"), ("fourth", "/proc/self/cwd/fourth")]
            {
                area.probe_outside(&["own-server", kind, &format!("../outside/{}", bound.len()), &format!("../outside/{}", bound.len())])
                    .run()
                    .assert_prints("ok");
                let (outcome, events) = Events::of_probe(&area, &area.rules(), &["own-server", kind, bound, reached]);
                outcome.assert_prints("ok");
                events.assert_none(&outcome);
            }
            area.shell(&area.rules(), &format!("{} own-server {kind} $TMPDIR/s $TMPDIR/s", srt_tests::probe().display()))
                .run()
                .assert_prints("ok");
        });
    });
}

#[test]
fn a_socket_is_not_made_where_nothing_may_be_written() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe_outside(&["bind-unix", &area.text("outside/control")]).run().assert_prints("ok");
        area.probe(&area.rules(), &["bind-unix", &area.text("outside/new")]).run().assert_prints_one_of(&["EROFS", "EACCES"]);
        assert!(!area.has("outside/new"));
    });
}

/// The name is the sandbox's, the server behind it is not.
#[test]
fn a_socket_of_the_host_below_a_write_root_is_not_reached_under_any_name() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let path = area.text("work/host");
        let mut server = Server::start(&area, "stream", &path);
        let probe = srt_tests::probe().display().to_string();
        let script = format!(
            "{probe} connect-unix stream host; {probe} bind-unix own; rm own; ln host own; {probe} connect-unix stream own; rm own; ln -s host own
            {probe} connect-unix stream own; rm own; mv host own; {probe} connect-unix stream own; mv own host"
        );
        let outcome = area.shell(&area.rules(), &script).run();
        // The only success is the bind.
        outcome.assert_prints("EPERM\nok\nEPERM\nEPERM\nEPERM");
        assert_eq!(server.reached(&area, "stream", &path), 0, "{outcome}");
    });
}

#[test]
fn allow_all_lifts_this_rule_and_no_other() {
    for_each_identity(|who| {
        let rules = |area: &Area| area.rules().set("network", "allowAllUnixSockets", json!(true));
        each_call_and_spelling(who, rules, "ok");
        let area = Area::new(who);
        let with_name = rules(&area).deny_write(area.text("work/held"));
        area.probe(&with_name, &["bind-unix", "held"]).run().assert_prints("EPERM");
        area.probe(&with_name, &["create", "held"]).run().assert_prints("EPERM");
        area.probe(&with_name, &["unshare", "0x10000000"]).run().assert_prints("EPERM");
        area.probe(&with_name, &["socket", "40", "1", "0"]).run().assert_prints_one_of(&["EPERM", "EAFNOSUPPORT"]);
    });
}

#[test]
fn pairs_of_every_kind_carry_messages_descriptors_and_much() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.file("work/f", "through a descriptor");
        let same = |operation: &[&str], expected: &str| {
            area.probe_outside(operation).run().assert_prints(expected);
            area.probe(&area.rules(), operation).run().assert_prints(expected);
        };
        for kind in ["stream", "dgram", "seqpacket"] {
            same(&["pair-message", kind], "hello");
            same(&["pair-rights", kind, "f"], "through a descriptor");
        }
        same(&["pair-bulk", "10485760"], "10485760");
    });
}

//! Races on the address, the message and the descriptor of a UNIX socket. The server of the denied socket is the judge.

use rustix::process::Signal;
use serde_json::json;
use srt_tests::{Area, Identity, Outcome, Rules, Running, each, for_each_identity};

fn tries(who: Identity) -> &'static str {
    if who.is_root() { "20000" } else { "100000" }
}

/// Servers on `outside/free` and `outside/held`.
struct Servers(Vec<Running>);

impl Servers {
    fn start(area: &Area, kind: &str) -> Self {
        let start = |name: &str| {
            let mut running = area.probe_outside(&["serve-unix", kind, &area.text(name)]).limit(400).spawn();
            running.wait_for("ready");
            running
        };
        Servers(vec![start("outside/s-free"), start("outside/s-held")])
    }

    /// How often the free and the held one were reached; both are ended.
    fn reached(self) -> [usize; 2] {
        // What was sent before this moment is read by then: a server's queue is short.
        srt_tests::pause(500);
        let count = |running: Running| {
            running.signal(Signal::KILL);
            running.wait().out().matches("reached").count()
        };
        let mut counts = self.0.into_iter().map(count);
        [counts.next().unwrap_or(0), counts.next().unwrap_or(0)]
    }
}

fn only_free(area: &Area) -> Rules {
    area.rules().set("network", "allowUnixSockets", json!([area.text("outside/s-1")]))
}

/// The paths differ in one byte: `s-1` is free, `s-2` is held.
fn race(who: Identity, kind: &str, words: &[&str]) {
    let area = Area::new(who);
    let (free, held) = (area.text("outside/s-1"), area.text("outside/s-2"));
    let run = |program: srt_tests::Program, tries: &str| -> (Outcome, [usize; 2]) {
        let servers = Servers::start(&area, kind);
        for (name, link) in [("outside/s-free", &free), ("outside/s-held", &held)] {
            drop(std::fs::remove_file(link));
            std::fs::rename(area.path(name), link).expect("a socket can be renamed");
        }
        let place = |word: &&str| match *word {
            "FREE" => free.clone(),
            "HELD" => held.clone(),
            "TRIES" => tries.to_owned(),
            word => word.to_owned(),
        };
        let words: Vec<String> = words.iter().map(place).collect();
        let outcome = program.args(&words.iter().map(String::as_str).collect::<Vec<_>>()).limit(300).run();
        (outcome, servers.reached())
    };
    let (outcome, [_, held_reached]) = run(area.probe_outside(&[]), "20000");
    assert!(held_reached > 0, "outside, the race must reach the socket\n{outcome}");
    let (outcome, [free_reached, held_reached]) = run(area.probe(&only_free(&area), &[]), tries(who));
    assert_eq!(held_reached, 0, "the denied socket was reached\n{outcome}");
    outcome.assert_code(0).assert_out_has("EPERM=");
    assert!(free_reached > 0 || !words.contains(&"FREE"), "the allowed socket is reached\n{outcome}");
}

#[test]
fn an_address_that_changes_in_memory_never_connects_to_a_denied_socket() {
    for_each_identity(|who| {
        each(["stream", "seqpacket"], |kind| race(who, kind, &["race-address", "connect", kind, "FREE", "HELD", "TRIES"]))
    });
}

#[test]
fn an_address_that_changes_in_memory_never_carries_a_datagram_to_a_denied_socket() {
    for_each_identity(|who| {
        each(["sendto", "sendmsg", "sendmmsg"], |call| race(who, "dgram", &["race-address", call, "dgram", "FREE", "HELD", "TRIES"]));
    });
}

#[test]
fn a_message_header_that_changes_in_memory_never_carries_a_datagram_to_a_denied_socket() {
    for_each_identity(|who| race(who, "dgram", &["race-message", "FREE", "HELD", "TRIES"]));
}

#[test]
fn a_descriptor_that_changes_its_socket_never_reaches_a_denied_one() {
    for_each_identity(|who| {
        race(who, "stream", &["race-socket", "connect", "HELD", "TRIES"]);
        race(who, "dgram", &["race-socket", "sendto", "HELD", "TRIES"]);
    });
}

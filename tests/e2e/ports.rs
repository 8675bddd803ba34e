//! `publishPorts`, and what is refused of it and of `allowHostPorts`.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use serde_json::json;
use srt_tests::{Area, Rules, for_each_identity};

/// A port of the host's loopback that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the host's loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Sends a word and reads to the end.
fn echoed(address: &str) -> String {
    let mut back = String::new();
    let Ok(mut stream) = TcpStream::connect(address) else { return back };
    drop(stream.write_all(b"hello"));
    drop(stream.shutdown(Shutdown::Write));
    drop(stream.read_to_string(&mut back));
    back
}

#[test]
fn a_published_port_leads_to_a_server_inside_and_is_gone_afterwards() {
    for_each_identity(|who| {
        for ip in ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"] {
            if ip.starts_with('[') && TcpListener::bind("[::1]:0").is_err() {
                continue;
            }
            let (area, port) = (Area::new(who), free_port());
            let host = format!("127.0.0.1:{port}");
            // Control: without the setting nobody on the host reaches it.
            let hidden = area.probe(&Rules::new(), &["serve-once", &format!("{ip}:{port}")]);
            let mut hidden = hidden.spawn();
            hidden.wait_for("listening");
            assert_eq!(echoed(&host), "");
            hidden.signal(rustix::process::Signal::TERM);
            hidden.wait();

            let rules = Rules::new().set("network", "publishPorts", json!([port]));
            let mut server = area.probe(&rules, &["serve-once", &format!("{ip}:{port}")]).spawn();
            server.wait_for("listening");
            assert_eq!(echoed(&host), "hello", "{ip}");
            server.wait().assert_code(0);
            let free = SocketAddr::from(([127, 0, 0, 1], port));
            assert!(TcpStream::connect(free).is_err(), "the port is closed with the run");
        }
    });
}

#[test]
fn a_published_port_that_is_taken_is_refused_before_the_command_starts() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let taken = TcpListener::bind(("127.0.0.1", 0)).expect("the host's loopback has a free port");
        let port = taken.local_addr().expect("a bound socket has an address").port();
        let rules = Rules::new().allow_write(area.text("work")).set("network", "publishPorts", json!([port]));
        let outcome = area.shell(&rules, "touch started").run();
        outcome
            .assert_refused()
            .assert_err_has(&format!("listen at port {port} of the host's loopback"))
            .assert_err_has("in use")
            .assert_err_has("from ");
        assert!(!area.has("work/started"));
    });
}

#[test]
fn another_program_inside_cannot_open_a_port_of_the_host() {
    for_each_identity(|who| {
        let (area, published, other) = (Area::new(who), free_port(), free_port());
        let rules = Rules::new().set("network", "publishPorts", json!([published]));
        let mut server = area.probe(&rules, &["serve-once", &format!("127.0.0.1:{other}")]).spawn();
        server.wait_for("listening");
        assert_eq!(echoed(&format!("127.0.0.1:{other}")), "");
        assert_eq!(echoed(&format!("127.0.0.1:{published}")), "", "nobody listens inside at the published port");
        server.signal(rustix::process::Signal::TERM);
        server.wait();
    });
}

#[test]
fn ports_that_make_no_sense_are_refused_with_their_place() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for (key, value, said) in [
            ("publishPorts", json!([0]), "whole number from 1 to 65535"),
            ("publishPorts", json!(["8080"]), "whole number from 1 to 65535"),
            ("publishPorts", json!(8080), "a list of ports"),
            ("publishPorts", json!([3128]), "srt itself listens there"),
            ("allowHostPorts", json!([53]), "srt itself listens there"),
        ] {
            let outcome = area.shell(&Rules::new().set("network", key, value), "true").run();
            outcome.assert_refused().assert_err_has(said).assert_err_has(key);
        }
        let both = Rules::new().set("network", "publishPorts", json!([8080])).set("network", "allowHostPorts", json!([8080]));
        area.shell(&both, "true").run().assert_refused().assert_err_has("one way only");
    });
}

#[test]
fn explain_shows_the_ports() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let settings = area.settings(&Rules::new().set("network", "publishPorts", json!([8080])));
        area.bare_srt()
            .args(&["explain", "--settings", &settings])
            .run()
            .assert_out_has("port 8080 of the host's loopback is the sandbox's");
        let json = area.bare_srt().args(&["explain", "--json", "--settings", &settings]).run();
        assert!(json.assert_code(0).out().replace([' ', '\n'], "").contains("\"publish_ports\":[8080]"), "{json}");
    });
}

//! The empty network namespace, and what passes the proxies.

use serde_json::json;
use srt_tests::server::{GREETING, Server};
use srt_tests::{Area, Rules, for_each_identity};

/// The three ways a program uses a proxy.
const WAYS: &[&str] = &["http-get", "connect-get", "socks-get"];

#[test]
fn the_only_interface_is_lo() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&Rules::new().allow_domain("*.example.com"), &["interfaces"]).run().assert_prints("lo");
    });
}

/// Allowed or not: nothing on the host is reached except through the proxy.
#[test]
fn a_server_on_the_hosts_loopback_is_not_reached_directly() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        area.probe_outside(&["connect-tcp", &server.literal()]).run().assert_prints("ok");
        let reached = server.accepted();
        for rules in [Rules::new(), Rules::new().allow_domain(server.literal())] {
            area.probe(&rules, &["connect-tcp", &server.literal()]).run().assert_prints_one_of(&[
                "ECONNREFUSED",
                "EACCES",
                "EPERM",
                "ENETUNREACH",
            ]);
        }
        assert_eq!(server.accepted(), reached, "the host saw a connection");
    });
}

#[test]
fn addresses_elsewhere_are_not_reached_directly() {
    for_each_identity(|who| {
        let area = Area::new(who);
        for operation in ["connect-tcp", "send-udp"] {
            for address in ["192.0.2.1:443", "[2001:db8::1]:443", "169.254.169.254:80"] {
                let outcome = area.probe(&Rules::new(), &[operation, address]).run();
                // A datagram to an address that only leads to the sandbox's own loopback is sent, and seen by nobody outside.
                let harmless: &[&str] = if operation == "send-udp" { &["ok"] } else { &[] };
                let refused = ["ENETUNREACH", "ECONNREFUSED", "EACCES", "EPERM", "EHOSTUNREACH", "EADDRNOTAVAIL", "EINVAL", "EAFNOSUPPORT"];
                outcome.assert_prints_one_of(&[&refused[..], harmless].concat());
            }
        }
    });
}

#[test]
fn a_datagram_does_not_leave_the_sandbox() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let host = std::net::UdpSocket::bind("127.0.0.1:0").expect("the host's loopback has a free port");
        host.set_nonblocking(true).expect("a socket can be switched");
        let address = host.local_addr().expect("a bound socket has an address").to_string();
        area.probe_outside(&["send-udp", &address]).run().assert_prints("ok");
        assert!(host.recv(&mut [0; 8]).is_ok(), "the control's datagram arrives");
        area.probe(&Rules::new().allow_domain(&address), &["send-udp", &address]).run();
        assert!(host.recv(&mut [0; 8]).is_err(), "a datagram reached the host");
    });
}

#[test]
fn servers_of_the_command_on_its_own_loopback_work() {
    for_each_identity(|who| {
        let area = Area::new(who);
        area.probe(&Rules::new(), &["loopback-pair"]).run().assert_prints("ok");
    });
}

#[test]
fn proxy_variables_name_a_port_inside() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let rules = Rules::new().allow_domain("*.example.com");
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            let value = area.probe(&rules, &["env", name]).run().assert_code(0).out();
            let local = ["127.0.0.1:", "localhost:", "[::1]:"].iter().any(|host| value.contains(host));
            assert!(local && value.contains("://"), "{name}={value}");
        }
        for name in ["NO_PROXY", "no_proxy"] {
            let value = area.probe(&rules, &["env", name]).run().assert_code(0).out();
            let own = |entry: &str| matches!(entry.trim(), "localhost" | "127.0.0.1" | "::1" | "[::1]" | "127.0.0.0/8" | ".localhost");
            assert!(value.split(',').all(own), "{name}={value}");
        }
    });
}

#[test]
fn an_allowed_server_answers_through_the_proxy_by_name_and_by_address() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        for target in [server.name(), server.literal()] {
            let rules = Rules::new().allow_domain(&target);
            for way in WAYS {
                let outcome = area.probe(&rules, &[way, &target]).run();
                outcome.assert_code(0).assert_out_has("200 OK").assert_out_has(GREETING).assert_no_event(&target);
            }
        }
    });
}

#[test]
fn an_entry_without_port_allows_every_port() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        area.probe(&Rules::new().allow_domain("localhost"), &["connect-get", &server.name()]).run().assert_out_has(GREETING);
    });
}

#[test]
fn an_entry_with_a_port_allows_that_port_only() {
    for_each_identity(|who| {
        let (area, server, other) = (Area::new(who), Server::http(), Server::http());
        let rules = Rules::new().allow_domain(server.name());
        area.probe(&rules, &["connect-get", &other.name()]).run().assert_out_has("403").assert_one_event(&other.name(), "net.");
        assert_eq!(other.accepted(), 0);
    });
}

#[test]
fn a_host_that_is_not_allowed_gets_403_with_the_reason_and_one_event() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        for way in ["http-get", "connect-get"] {
            // Control: the same request with the host allowed.
            area.probe(&Rules::new().allow_domain(server.name()), &[way, &server.name()]).run().assert_out_has(GREETING);
            let reached = server.accepted();
            let rules = Rules::new();
            let program = area.probe(&rules, &[way, &server.name()]);
            let before = area.snapshot();
            let outcome = program.run();
            assert!(outcome.out().starts_with("HTTP/1.1 403"), "{outcome}");
            assert!(outcome.out().to_lowercase().contains("x-proxy-error: blocked-by-allowlist"), "{outcome}");
            outcome.assert_out_has("Connection blocked by network allowlist").assert_one_event(&server.name(), "net.");
            assert_eq!(server.accepted(), reached, "the host saw a connection");
            before.assert_unchanged(area.root());
        }
    });
}

#[test]
fn socks_answers_that_the_ruleset_forbids_and_one_event_says_it() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let outcome = area.probe(&Rules::new(), &["socks-get", &server.name()]).run();
        outcome.assert_prints("socks 2").assert_one_event(&server.name(), "net.");
        assert_eq!(server.accepted(), 0);
    });
}

#[test]
fn the_same_denial_many_times_is_one_event() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let probe = srt_tests::probe().display();
        let script = format!("for i in 1 2 3 4 5; do {probe} connect-get {} >/dev/null; done", server.name());
        area.shell(&Rules::new(), &script).run().assert_one_event(&server.name(), "net.");
    });
}

#[test]
fn a_denied_domain_wins_over_an_allowed_one_and_tells_its_reason() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let reasons = json!({ server.name(): "ask the network team" });
        let rules = Rules::new().allow_domain("localhost").deny_domain(server.name()).set("network", "deniedDomainReasons", reasons);
        let outcome = area.probe(&rules, &["http-get", &server.name()]).run();
        outcome.assert_out_has("403").assert_out_has("ask the network team").assert_one_event(&server.name(), "net.");
        outcome.assert_err_has("ask the network team");
        assert_eq!(server.accepted(), 0);
    });
}

#[test]
fn the_spelling_of_a_host_does_not_get_around_a_denial() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let port = server.address.port();
        let rules =
            Rules::new().allow_domain("127.0.0.1").allow_domain("localhost").deny_domain(server.literal()).deny_domain(server.name());
        for spelling in
            ["LOCALHOST", "localhost.", "127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"]
        {
            for way in WAYS {
                let target = format!("{spelling}:{port}");
                let outcome = area.probe(&rules, &[way, &target]).run();
                assert!(!outcome.out().contains(GREETING), "{way} {target}\n{outcome}");
            }
        }
        assert_eq!(server.accepted(), 0);
    });
}

#[test]
fn no_name_may_lead_to_the_hosts_loopback_unless_it_is_localhost() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let server = Server::http();
        let Some(name) = own_name_on_loopback() else {
            srt_tests::skip!("{}: /etc/hosts gives 127.0.0.1 no name but localhost", who.name);
        };
        let target = format!("{name}:{}", server.address.port());
        for way in WAYS {
            let outcome = area
                .probe(&Rules::new().allow_domain("127.0.0.2").set("network", "allowedDomains", json!([target])), &[way, &target])
                .run();
            // A name without a dot is no valid entry: then the refusal of the settings says so and nothing runs.
            assert!(!outcome.out().contains(GREETING), "{outcome}");
        }
        assert_eq!(server.accepted(), 0);
    });
}

/// A name other than `localhost` that the host's own table maps to the loopback.
fn own_name_on_loopback() -> Option<String> {
    let table = std::fs::read_to_string("/etc/hosts").ok()?;
    let names = table.lines().filter_map(|line| line.strip_prefix("127.0.0.1")).flat_map(str::split_whitespace);
    names.map(str::to_owned).find(|name| name != "localhost")
}

#[test]
fn a_null_list_allows_nothing() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let rules = Rules::new().set("network", "allowedDomains", json!(null));
        let outcome = area.probe(&rules, &["connect-get", &server.name()]).run();
        assert!(!outcome.out().contains(GREETING), "{outcome}");
        assert_eq!(server.accepted(), 0);
    });
}

#[test]
fn a_tls_session_for_another_name_than_the_tunnels_is_closed_with_an_event() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::counting());
        let rules = Rules::new().allow_domain(server.name());
        let fronted = area.probe(&rules, &["tls-hello", &server.name(), "other.test"]).run();
        fronted.assert_prints("closed");
        assert_eq!(server.received(), 0, "the server saw the message\n{fronted}");
        assert_eq!(fronted.events().len(), 1, "{fronted}");
        let honest = area.probe(&rules, &["tls-hello", &server.name(), "localhost"]).run();
        assert!(honest.out().parse::<usize>().is_ok_and(|count| count > 40 && count == server.received()), "{honest}");
        assert!(honest.events().is_empty(), "{honest}");
    });
}

#[test]
fn ten_megabytes_pass_a_tunnel_and_closing_one_half_leaves_the_other_open() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::counting());
        let rules = Rules::new().allow_domain(server.name());
        area.probe(&rules, &["bulk", "10485760", &server.name()]).run().assert_prints("10485760");
    });
}

#[test]
fn five_hundred_tunnels_are_open_at_once() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let rules = Rules::new().allow_domain(server.name());
        area.probe(&rules, &["tunnels", "500", &server.name()]).run().assert_prints("500");
    });
}

#[test]
fn what_a_program_wrote_before_it_ended_arrives() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::counting_slowly());
        let target = server.name();
        let script = format!(
            "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n\\r\\n' >&3; read -r status <&3; while read -r line <&3 && [ ${{#line}} -gt 1 ]; do :; done; head -c 12000000 /dev/zero >&3; echo $status"
        );
        let outcome = area.srt(&Rules::new().allow_domain(&target)).args(&["bash", "-c", &script]).run();
        outcome.assert_out_has(" 200 ");
        let start = std::time::Instant::now();
        while server.received() != 12_000_000 && start.elapsed() < srt_tests::patience(5) {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(server.received(), 12_000_000);
    });
}

//! Proxies of the user's own, and requests no client makes.

use serde_json::json;
use srt_tests::server::{GREETING, Server};
use srt_tests::{Area, Rules, for_each_identity};

#[test]
fn an_http_proxy_of_the_users_own_gets_the_requests() {
    for_each_identity(|who| {
        let (area, proxy) = (Area::new(who), Server::http());
        let rules = Rules::new().set("network", "httpProxyPort", json!(proxy.address.port()));
        let outcome = area.probe(&rules, &["http-get", "example.test:80"]).run();
        outcome.assert_out_has(GREETING).assert_out_has("GET http://example.test");
        assert_eq!(proxy.accepted(), 1);
    });
}

#[test]
fn what_was_allowed_goes_to_the_parent_proxy_and_what_was_not_does_not() {
    for_each_identity(|who| {
        let (area, parent) = (Area::new(who), Server::http());
        let url = format!("http://{}", parent.literal());
        let rules = Rules::new().allow_domain("allowed.test").set("network", "parentProxy", json!({ "http": url, "https": url }));
        area.probe(&rules, &["http-get", "allowed.test:80"]).run().assert_out_has(GREETING).assert_out_has("allowed.test");
        // The parent answers the CONNECT with 200, and then with its greeting for a tunnel.
        area.probe(&rules, &["connect-get", "allowed.test:443"]).run().assert_out_has("CONNECT allowed.test:443");
        let reached = parent.accepted();
        area.probe(&rules, &["http-get", "denied.test:80"]).run().assert_out_has("403").assert_one_event("denied.test:80", "net.");
        assert_eq!(parent.accepted(), reached);
    });
}

#[test]
fn malformed_requests_are_refused_and_the_proxy_lives_on() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let rules = Rules::new().allow_domain(server.name());
        let probe = srt_tests::probe().display();
        let requests = [
            "CONNECT localhost HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n",
            "CONNECT localhost:0 HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n",
            "CONNECT localhost:99999 HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n",
            "CONNECT a%00b:80 HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n",
            "GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n",
            "GET ftp://localhost/ HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n",
            "nonsense\\r\\n\\r\\n",
            "\\r\\n\\r\\n",
        ];
        let mut script = String::new();
        for request in requests {
            script += &format!("{probe} proxy-raw '{request}'; echo; echo ---\n");
        }
        script += &format!("{probe} connect-get {}", server.name());
        let outcome = area.shell(&rules, &script).run();
        outcome.assert_code(0).assert_out_has(GREETING);
        let answers = outcome.out();
        for answer in answers.split("---").take(requests.len()) {
            assert!(!answer.contains(" 200 "), "{answer}\n{outcome}");
        }
        assert_eq!(server.accepted(), 1);
    });
}

#[test]
fn headers_meant_for_the_proxy_do_not_reach_the_server() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let rules = Rules::new().allow_domain(server.name());
        let host = server.name();
        let request = format!(
            "GET http://{host}/ HTTP/1.1\\r\\nHost: {host}\\r\\nProxy-Authorization: Basic c2VjcmV0\\r\\nProxy-Connection: close\\r\\nConnection: close\\r\\n\\r\\n"
        );
        let outcome = area.probe(&rules, &["proxy-raw", &request]).run();
        outcome.assert_out_has(GREETING);
        assert!(!outcome.out().to_lowercase().contains("proxy-authorization"), "{outcome}");
    });
}

#[test]
fn a_client_that_closes_its_half_after_the_request_gets_the_answer() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let rules = Rules::new().allow_domain(server.name());
        for _ in 0..5 {
            area.probe(&rules, &["http-get-half-closed", &server.name()]).run().assert_out_has(GREETING);
        }
    });
}

/// The name in the head of a request is not the name that decides: the target is.
#[test]
fn a_host_header_does_not_change_where_a_request_goes() {
    for_each_identity(|who| {
        let (area, allowed, other) = (Area::new(who), Server::http(), Server::http());
        let rules = Rules::new().allow_domain(allowed.name());
        let request = format!("GET http://{}/ HTTP/1.1\\r\\nHost: {}\\r\\nConnection: close\\r\\n\\r\\n", other.name(), allowed.name());
        area.probe(&rules, &["proxy-raw", &request]).run().assert_out_has("403");
        assert_eq!(other.accepted(), 0);
    });
}

#[test]
fn a_proxy_of_the_callers_environment_is_not_handed_to_the_command() {
    for_each_identity(|who| {
        let area = Area::new(who);
        let program = area.probe(&Rules::new(), &["env", "HTTPS_PROXY"]).env("HTTPS_PROXY", "http://user:password@proxy.invalid:3128");
        let outcome = program.run();
        assert!(!outcome.out().contains("proxy.invalid") && !outcome.out().contains("password"), "{outcome}");
    });
}

#[test]
fn headers_named_in_the_settings_are_dropped_from_plain_answers() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let rules = Rules::new().allow_domain(server.name());
        let header = "x-of-the-server";
        let answer = |rules: &Rules| area.probe(rules, &["http-get", &server.name()]).run().assert_out_has(GREETING).out().to_lowercase();
        assert!(answer(&rules).contains(header));
        let stripping = rules.set("network", "stripResponseHeaders", json!(["X-Of-The-Server"]));
        assert!(!answer(&stripping).contains(header) && answer(&stripping).contains("content-length"));
    });
}

#[test]
fn some_of_the_allowed_hosts_go_to_a_proxy_on_a_unix_socket() {
    for_each_identity(|who| {
        let (area, direct) = (Area::new(who), Server::http());
        let socket = area.path("outside/proxy");
        Server::http_on_unix_socket(&socket);
        let proxy = json!({ "socketPath": socket, "domains": ["inspected.test"] });
        let rules = Rules::new().allow_domain("inspected.test").allow_domain(direct.name()).set("network", "mitmProxy", proxy);
        area.probe(&rules, &["http-get", "inspected.test:80"]).run().assert_out_has(GREETING).assert_out_has("GET http://inspected.test");
        // It answers the CONNECT with 200, and then with its greeting for a tunnel.
        area.probe(&rules, &["connect-get", "inspected.test:443"]).run().assert_out_has("CONNECT inspected.test:443");
        area.probe(&rules, &["http-get", "denied.test:80"]).run().assert_out_has("403").assert_one_event("denied.test:80", "net.");
        let outcome = area.probe(&rules, &["http-get", &direct.name()]).run();
        assert!(outcome.assert_out_has(GREETING).out().contains("GET / "), "{outcome}");
        assert_eq!(direct.accepted(), 1);
        // The command itself does not reach the socket.
        let path = socket.display().to_string();
        area.probe(&rules, &["connect-unix", "stream", &path]).run().assert_prints_one_of(&["EPERM", "EACCES"]);
    });
}

#[test]
fn ignored_violations_are_denied_and_not_told() {
    for_each_identity(|who| {
        let (area, server) = (Area::new(who), Server::http());
        let told = |ignored: serde_json::Value| {
            let rules = Rules::new().set("", "ignoreViolations", ignored);
            let outcome = area.probe(&rules, &["connect-get", &server.name()]).run();
            outcome.assert_out_has("403");
            !outcome.events().is_empty()
        };
        assert!(told(json!({})) && told(json!({ "*": ["other.test"] })) && told(json!({ "no-such-program": ["localhost"] })));
        assert!(!told(json!({ "*": [server.name()] })) && !told(json!({ "connect-get": ["localhost"] })));
        assert_eq!(server.accepted(), 0);
    });
}

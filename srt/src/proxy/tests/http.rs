use super::*;

fn get(url: impl std::fmt::Display, more: &str) -> String {
    format!("GET {url} HTTP/1.1\r\n{more}\r\n")
}

#[test]
fn an_allowed_tunnel_carries_bytes_both_ways() {
    run(async {
        let server = echo_server().await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.tunnel(server).await;
        client.write_all(b"hello").await.unwrap();
        assert_eq!(read_exactly(&mut client, 5).await, b"hello");
        assert!(proxy.events().is_empty());
    });
}

#[test]
fn bytes_sent_along_with_connect_are_not_lost() {
    run(async {
        let server = echo_server().await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.connect().await;
        client.write_all(format!("CONNECT {server} HTTP/1.1\r\n\r\nearly").as_bytes()).await.unwrap();
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 "));
        assert_eq!(read_exactly(&mut client, 5).await, b"early");
    });
}

#[test]
fn a_denied_connect_says_why_and_is_one_event() {
    run(async {
        let proxy = Proxy::new(&["example.com"], &[]);
        let answer = proxy.talk("CONNECT Evil.example.:443 HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 host is not on the allow list\r\n"), "{answer}");
        assert!(answer.to_lowercase().contains("\r\nx-proxy-error: blocked-by-allowlist\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nConnection blocked by network allowlist\nhost is not on the allow list\n"), "{answer}");
        let [event] = &proxy.events()[..] else { panic!("one event") };
        assert_eq!(event.line(), "deny network-outbound evil.example:443 (host is not on the allow list)");
        assert_eq!((event.rule.id.as_str(), event.operation.as_str()), ("net.default", "CONNECT"));
        assert_eq!(event.allow.as_deref(), Some(r#"add "evil.example:443" to network.allowedDomains"#));
    });
}

#[test]
fn custom_reasons_reach_the_status_line_in_ascii() {
    run(async {
        let mut settings = network_settings(&["example.com"], &["evil.example"]);
        let reason = crate::policy::Located::new("für später\u{202e}x".to_owned(), crate::policy::Origin::Flag("--test"));
        settings.denied_domain_reasons.insert("evil.example".into(), reason);
        let proxy = Proxy::with_policy(NetPolicy::build(&settings).unwrap());
        let answer = proxy.talk("CONNECT evil.example:443 HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 f?r sp?ter x\r\n"), "{answer}");
        assert_eq!(proxy.events()[0].allow, None, "the user has said no");
    });
}

#[test]
fn a_denied_request_never_reaches_the_server_and_the_connection_goes_on() {
    run(async {
        let server = mirror_server().await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.connect().await;
        client.write_all(get("http://evil.example/secret?q", "").as_bytes()).await.unwrap();
        let head = read_head(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
        let body = "Connection blocked by network allowlist\nhost is not on the allow list\n";
        assert_eq!(read_exactly(&mut client, body.len()).await, body.as_bytes());
        client.write_all(get(format!("http://{server}/x"), "Connection: close\r\n").as_bytes()).await.unwrap();
        assert!(read_all(&mut client).await.contains("GET /x HTTP/1.1"));
        assert_eq!(proxy.rules(), [("net.default".to_owned(), "evil.example:80".to_owned())]);
    });
}

#[test]
fn a_request_is_written_anew_for_the_server() {
    run(async {
        let server = mirror_server().await;
        let proxy = Proxy::allowing(server);
        let fields = format!(
            "Host: {server}\r\nProxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: keep-alive\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nX-Case: Kept\r\n"
        );
        let answer = proxy.talk(get(format!("http://{server}/a?b=c"), &fields)).await;
        let (head, seen) = answer.split_once("\r\n\r\n").unwrap();
        assert!(seen.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains(&format!("{server}\r\n")) && seen.contains("X-Case: Kept\r\n"), "{seen}");
        for gone in ["proxy-", "x-hop", "connection", "te:"] {
            assert!(!seen.to_lowercase().contains(gone), "{gone}: {seen}");
        }
        assert!(!head.to_lowercase().contains("proxy-secret") && head.to_lowercase().contains("x-strip_me"), "{head}");
    });
}

#[test]
fn named_answer_headers_are_stripped() {
    run(async {
        let server = mirror_server().await;
        let mut settings = settings(&[&server.to_string()]);
        settings.strip_response_headers.push(crate::policy::Located::new("x-strip-me".into(), crate::policy::Origin::Flag("--test")));
        let proxy = Proxy::with_policy(NetPolicy::build(&settings).unwrap());
        let answer = proxy.talk(get(format!("http://{server}/"), "Connection: close\r\n")).await;
        assert!(answer.contains(" 200 ") && !answer.to_lowercase().contains("x-strip_me"), "{answer}");
    });
}

#[test]
fn one_upstream_connection_serves_the_requests_of_one_client() {
    run(async {
        let accepted = Rc::new(std::cell::Cell::new(0));
        let count = accepted.clone();
        let server = server(move |mut stream| {
            count.set(count.get() + 1);
            async move {
                while !read_head(&mut stream).await.is_empty() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                }
            }
        })
        .await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.connect().await;
        for _ in 0..5 {
            client.write_all(get(format!("http://{server}/"), "").as_bytes()).await.unwrap();
            assert!(read_head(&mut client).await.contains(" 200 "));
            assert_eq!(read_exactly(&mut client, 2).await, b"ok");
        }
        assert_eq!(accepted.get(), 1);
    });
}

#[test]
fn a_kept_connection_that_upstream_closed_is_replaced() {
    run(async {
        let server = server(|mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        })
        .await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.connect().await;
        for _ in 0..3 {
            client.write_all(get(format!("http://{server}/"), "").as_bytes()).await.unwrap();
            let head = read_head(&mut client).await;
            assert!(head.contains(" 200 "), "{head}");
            assert_eq!(read_exactly(&mut client, 2).await, b"ok");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn both_lengths_at_once_cannot_smuggle_a_request() {
    run(async {
        let seen = Rc::new(std::cell::RefCell::new(Vec::new()));
        let log = seen.clone();
        let server = server(move |mut stream| {
            let log = log.clone();
            async move {
                let mut bytes = vec![0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                    log.borrow_mut().extend_from_slice(&bytes[..read]);
                    if log.borrow().ends_with(b"0\r\n\r\n") {
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                    }
                }
            }
        })
        .await;
        let proxy = Proxy::allowing(server);
        let request = format!(
            "POST http://{server}/ HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET http://evil.example/ HTTP/1.1\r\nConnection: close\r\n\r\n"
        );
        let answer = proxy.talk(request).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "nothing after the first request is served: {answer}");
        let seen = String::from_utf8_lossy(&seen.borrow()).to_lowercase();
        assert!(!seen.contains("content-length") && !seen.contains("evil"), "{seen}");
    });
}

#[test]
fn request_bodies_and_chunked_answers_pass() {
    run(async {
        let server = server(|mut stream| async move {
            read_head(&mut stream).await;
            let body = read_exactly(&mut stream, 5).await;
            stream.write_all(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n").await.unwrap();
            stream.write_all(&body).await.unwrap();
            stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
        })
        .await;
        let proxy = Proxy::allowing(server);
        let answer = proxy.talk(format!("POST http://{server}/ HTTP/1.1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")).await;
        assert!(answer.starts_with("HTTP/1.1 201 Created") && answer.contains("5\r\nhello\r\n0\r\n\r\n"), "{answer}");
    });
}

#[test]
fn requests_that_make_no_sense_to_a_proxy_are_bad() {
    run(async {
        let proxy = Proxy::new(&["example.com"], &[]);
        for request in [
            "CONNECT example.com HTTP/1.1\r\n\r\n",
            "CONNECT example.com:0 HTTP/1.1\r\n\r\n",
            "CONNECT example.com:99999 HTTP/1.1\r\n\r\n",
            "CONNECT exa%6dple.com:443 HTTP/1.1\r\n\r\n",
            "CONNECT example..com:443 HTTP/1.1\r\n\r\n",
            "CONNECT a@example.com:443 HTTP/1.1\r\n\r\n",
            "CONNECT example.com:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "GET /x HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n",
            "GET ftp://example.com/ HTTP/1.1\r\n\r\n",
            "GET https://example.com/ HTTP/1.1\r\n\r\n",
            "GET http://user:pw@example.com/ HTTP/1.1\r\n\r\n",
            "GET http://example.com:0/ HTTP/1.1\r\n\r\n",
            "GET http://example.com:99999/ HTTP/1.1\r\n\r\n",
            "\r\n\r\nNONSENSE\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nBad Header: x\r\n\r\n",
            "GET http://example.com/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            "GET http://example.com/\r\nX: y HTTP/1.1\r\n\r\n",
        ] {
            let answer = proxy.talk(request).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
        }
    });
}

#[test]
fn a_host_header_for_another_host_is_misdirected() {
    run(async {
        let server = mirror_server().await;
        let proxy = Proxy::allowing(server);
        for fields in ["Host: evil.example\r\n".to_owned(), format!("Host: {server}\r\nHost: {server}\r\n")] {
            let answer = proxy.talk(get(format!("http://{server}/"), &format!("{fields}Connection: close\r\n"))).await;
            assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
        }
        assert_eq!(proxy.rules(), [("net.host-header".to_owned(), server.to_string())]);
        assert_eq!(proxy.events()[0].count, 2);
    });
}

#[test]
fn too_large_a_head_is_refused() {
    run(async {
        let proxy = Proxy::new(&["example.com"], &[]);
        let huge = get("http://example.com/", &format!("X: {}\r\n", "a".repeat(100_000)));
        let answer = proxy.talk(huge).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        let many = get("http://example.com/", &"X: a\r\n".repeat(1000));
        let answer = proxy.talk(many).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    });
}

#[test]
fn upstream_failures_are_502_with_words() {
    run(async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let proxy = Proxy::allowing(closed);
        for request in
            [format!("CONNECT {closed} HTTP/1.1\r\nConnection: close\r\n\r\n"), get(format!("http://{closed}/"), "Connection: close\r\n")]
        {
            let answer = proxy.talk(request).await;
            assert!(
                answer.starts_with("HTTP/1.1 502 ") && answer.contains(&format!("cannot reach {closed}: connection refused")),
                "{answer}"
            );
        }
        assert!(proxy.events().is_empty(), "a failure that policy did not cause is no violation");
    });
}

#[test]
fn upstream_that_answers_nonsense_is_502() {
    run(async {
        for nonsense in ["", "hello\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"] {
            let server = server(move |mut stream| async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(nonsense.as_bytes()).await;
            })
            .await;
            let answer = Proxy::allowing(server).talk(get(format!("http://{server}/"), "Connection: close\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 502 "), "{nonsense:?}: {answer}");
        }
    });
}

#[test]
fn a_name_that_leads_to_a_refused_address_is_blocked_by_the_runtime() {
    run(async {
        let server = echo_server().await;
        let proxy = Proxy::new(&["localhost"], &["127.0.0.1", "[::1]"]);
        let port = server.port();
        for request in
            [format!("CONNECT localhost:{port} HTTP/1.1\r\n\r\n"), get(format!("http://localhost:{port}/"), "Connection: close\r\n")]
        {
            let answer = proxy.talk(request).await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
            assert!(answer.contains("x-proxy-error: blocked-by-sandbox-runtime\r\n"), "{answer}");
            assert!(answer.ends_with("resolved to an address on the deny list\n"), "{answer}");
        }
        assert_eq!(proxy.events().len(), 2);
    });
}

#[test]
fn localhost_is_resolved_and_dialled_when_allowed() {
    run(async {
        let server = echo_server().await;
        let proxy = Proxy::new(&["localhost"], &[]);
        let mut client = proxy.tunnel(format!("localhost:{}", server.port())).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(read_exactly(&mut client, 1).await, b"x");
    });
}

#[test]
fn an_upgrade_of_plain_http_becomes_a_tunnel() {
    run(async {
        let server = server(|mut stream| async move {
            let head = read_head(&mut stream).await.to_lowercase();
            assert!(head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst").await.unwrap();
            let got = read_exactly(&mut stream, 4).await;
            stream.write_all(&got).await.unwrap();
        })
        .await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.connect().await;
        client.write_all(get(format!("http://{server}/"), "Connection: Upgrade\r\nUpgrade: websocket\r\n").as_bytes()).await.unwrap();
        let head = read_head(&mut client).await.to_lowercase();
        assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: websocket"), "{head}");
        assert_eq!(read_exactly(&mut client, 5).await, b"first");
        client.write_all(b"ping").await.unwrap();
        assert_eq!(read_exactly(&mut client, 4).await, b"ping");
        assert_eq!(read_all(&mut client).await, "");
    });
}

#[test]
fn an_old_client_gets_an_answer_it_can_read() {
    run(async {
        let server = server(|mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await.unwrap();
        })
        .await;
        let answer = Proxy::allowing(server).talk(format!("GET http://{server}/ HTTP/1.0\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.0 200 OK") && answer.ends_with("\r\n\r\nok"), "{answer}");
    });
}

#[test]
fn old_tunnel_clients_such_as_nc_and_socat_are_served() {
    run(async {
        let server = echo_server().await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.connect().await;
        client.write_all(format!("CONNECT {server} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let head = read_head(&mut client).await;
        assert!(head.starts_with("HTTP/1.0 200 ") || head.starts_with("HTTP/1.1 200 "), "{head}");
        client.write_all(b"hello").await.unwrap();
        assert_eq!(read_exactly(&mut client, 5).await, b"hello");
    });
}

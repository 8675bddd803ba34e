use super::*;
use crate::policy::{Located, Origin};
use crate::settings::{MitmProxySettings, ParentProxySettings};

const ORIGIN: Origin = Origin::Flag("--test");

fn with_parent(parent: &str, no_proxy: &str) -> Proxy {
    let mut settings = settings(&["*.example.com", "127.0.0.1"]);
    let urls = ParentProxySettings { http: Some(parent.into()), https: Some(parent.into()), no_proxy: Some(no_proxy.into()) };
    settings.parent_proxy = Some(Located::new(urls, ORIGIN));
    Proxy::with_policy(NetPolicy::build(&settings).unwrap())
}

/// An HTTP proxy that opens every tunnel to an echo and mirrors every plain request.
async fn http_parent() -> (SocketAddr, Rc<std::cell::RefCell<Vec<String>>>) {
    let heads = Rc::new(std::cell::RefCell::new(Vec::new()));
    let log = heads.clone();
    let address = server(move |mut stream| {
        let log = log.clone();
        async move {
            let head = read_head(&mut stream).await;
            log.borrow_mut().push(head.clone());
            if head.starts_with("CONNECT refused") {
                stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            } else if head.starts_with("CONNECT") {
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\nearly").await.unwrap();
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            } else {
                let status = if head.contains("/407") { "407 Proxy Authentication Required" } else { "200 OK" };
                stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (address, heads)
}

#[test]
fn tunnels_go_through_an_http_parent_unresolved_and_with_credentials() {
    run(async {
        let (parent, heads) = http_parent().await;
        let proxy = with_parent(&format!("http://ada:p%40ss@{parent}"), "");
        let mut client = proxy.tunnel("host.example.com:443").await;
        client.write_all(b"ping").await.unwrap();
        assert_eq!(read_exactly(&mut client, 9).await, b"earlyping");
        let head = heads.borrow()[0].to_lowercase();
        assert!(head.starts_with("connect host.example.com:443 http/1.1\r\n"), "{head}");
        assert!(head.contains("host: host.example.com:443\r\n") && head.contains("proxy-authorization: basic ywrhonbac3m=\r\n"), "{head}");
    });
}

#[test]
fn plain_requests_go_to_an_http_parent_in_absolute_form() {
    run(async {
        let (parent, heads) = http_parent().await;
        let proxy = with_parent(&format!("http://ada:pw@{parent}"), "");
        let request = |path: &str| {
            format!("GET http://host.example.com{path} HTTP/1.1\r\nProxy-Authorization: Basic bWluZQ==\r\nConnection: close\r\n\r\n")
        };
        assert!(proxy.talk(request("/x?y")).await.starts_with("HTTP/1.1 200 "));
        let head = heads.borrow()[0].clone();
        assert!(head.starts_with("GET http://host.example.com/x?y HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("Basic YWRhOnB3") && !head.contains("bWluZQ"), "ours, not the client's: {head}");
        let answer = proxy.talk(request("/407")).await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("the parent proxy refused our credentials"), "{answer}");
    });
}

#[test]
fn the_policy_comes_before_the_parent_and_loopback_past_it() {
    run(async {
        let (parent, heads) = http_parent().await;
        let echo = echo_server().await;
        let proxy = with_parent(&format!("http://{parent}"), "");
        assert!(proxy.talk("CONNECT evil.example:443 HTTP/1.1\r\n\r\n").await.contains(" 403 "));
        let mut direct = proxy.tunnel(echo).await;
        direct.write_all(b"x").await.unwrap();
        assert_eq!(read_exactly(&mut direct, 1).await, b"x");
        assert!(heads.borrow().is_empty());
    });
}

#[test]
fn a_parent_that_refuses_is_502() {
    run(async {
        let (parent, _) = http_parent().await;
        let proxy = with_parent(&format!("http://{parent}"), "");
        let answer = proxy.talk("CONNECT refused.example.com:443 HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("the parent proxy answered 407"), "{answer}");
        assert!(!answer.to_lowercase().contains("proxy-auth"), "{answer}");
    });
}

#[test]
fn a_socks_parent_gets_the_name_and_carries_tunnels_and_requests() {
    run(async {
        let seen = Rc::new(std::cell::RefCell::new(Vec::new()));
        let log = seen.clone();
        let parent = server(move |mut stream| {
            let log = log.clone();
            async move {
                let [_, count] = read_exactly(&mut stream, 2).await[..] else { return };
                read_exactly(&mut stream, count.into()).await;
                stream.write_all(&[5, 2]).await.unwrap();
                let head = read_exactly(&mut stream, 2).await;
                let user = read_exactly(&mut stream, head[1].into()).await;
                let length = stream.read_u8().await.unwrap();
                let password = read_exactly(&mut stream, length.into()).await;
                stream.write_all(&[1, 0]).await.unwrap();
                let request = read_exactly(&mut stream, 5).await;
                let name = read_exactly(&mut stream, request[4].into()).await;
                let port = stream.read_u16().await.unwrap();
                log.borrow_mut().push(format!("{} {} {}:{port}", text(&user), text(&password), text(&name)));
                stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
                if port == 80 {
                    read_head(&mut stream).await;
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                } else {
                    let got = read_exactly(&mut stream, 4).await;
                    stream.write_all(&got).await.unwrap();
                }
            }
        })
        .await;
        let proxy = with_parent(&format!("socks5h://ada:pw@{parent}"), "");
        let mut client = proxy.tunnel("host.example.com:443").await;
        client.write_all(b"ping").await.unwrap();
        assert_eq!(read_exactly(&mut client, 4).await, b"ping");
        assert!(proxy.talk("GET http://host.example.com/ HTTP/1.1\r\nConnection: close\r\n\r\n").await.ends_with("ok"));
        assert_eq!(*seen.borrow(), ["ada pw host.example.com:443", "ada pw host.example.com:80"]);
    });
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn chosen_domains_go_through_a_proxy_on_a_unix_socket() {
    run(async {
        let directory = std::env::temp_dir().join(format!("srt-proxy-test-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("mitm.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::task::spawn_local(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    let first = String::from_utf8_lossy(&head).lines().next().unwrap().to_owned();
                    if first.starts_with("CONNECT") {
                        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                        stream.write_all(first.as_bytes()).await.unwrap();
                    } else {
                        stream
                            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{first}", first.len()).as_bytes())
                            .await
                            .unwrap();
                    }
                });
            }
        });
        let echo = echo_server().await;
        let mut settings = settings(&["*.example.com", "127.0.0.1"]);
        let domains = vec![Located::new("*.example.com".to_owned(), ORIGIN)];
        settings.mitm_proxy = Some(Located::new(MitmProxySettings { socket_path: path.to_str().unwrap().into(), domains }, ORIGIN));
        let proxy = Proxy::with_policy(NetPolicy::build(&settings).unwrap());
        let mut tunnel = proxy.tunnel("a.example.com:443").await;
        assert_eq!(read_all(&mut tunnel).await, "CONNECT a.example.com:443 HTTP/1.1");
        let answer = proxy.talk("GET http://a.example.com/x HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("GET http://a.example.com/x HTTP/1.1"), "{answer}");
        let mut direct = proxy.tunnel(echo).await;
        direct.write_all(b"x").await.unwrap();
        assert_eq!(read_exactly(&mut direct, 1).await, b"x");
        std::fs::remove_dir_all(&directory).unwrap();
    });
}

#[test]
fn the_users_own_proxy_gets_the_bytes_as_they_are() {
    run(async {
        let own = echo_server().await;
        let mut settings = settings(&["example.com"]);
        settings.http_proxy_port = Some(Located::new(own.port(), ORIGIN));
        let proxy = Proxy::with_policy(NetPolicy::build(&settings).unwrap());
        let mut client = proxy.connect().await;
        client.write_all(b"GET http://anything/ HTTP/1.1\r\n\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, "GET http://anything/ HTTP/1.1\r\n\r\n");
        let mut socks = proxy.connect().await;
        socks.write_all(&[5, 1, 0, 5, 1, 0, 1, 1, 1, 1, 1, 0, 80]).await.unwrap();
        assert_eq!(read_exactly(&mut socks, 4).await, [5, 0, 5, 2], "SOCKS is still filtered by us");
    });
}

#[test]
fn the_users_own_socks_proxy_gets_the_bytes_as_they_are() {
    run(async {
        let own = echo_server().await;
        let mut settings = settings(&[]);
        settings.socks_proxy_port = Some(Located::new(own.port(), ORIGIN));
        let proxy = Proxy::with_policy(NetPolicy::build(&settings).unwrap());
        let mut client = proxy.connect().await;
        client.write_all(&[5, 1, 0]).await.unwrap();
        assert_eq!(read_exactly(&mut client, 3).await, [5, 1, 0]);
        assert!(proxy.talk("CONNECT example.com:443 HTTP/1.1\r\n\r\n").await.contains(" 403 "), "HTTP is still filtered by us");
    });
}

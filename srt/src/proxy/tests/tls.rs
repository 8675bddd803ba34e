use super::*;
use crate::proxy::sni::tests::client_hello;

/// Sends the hello in pieces through a tunnel to `localhost` and says whether the server got it whole.
async fn passes(proxy: &Proxy, target: &str, hello: &[u8], piece: usize) -> bool {
    let mut client = proxy.tunnel(target).await;
    client.set_nodelay(true).unwrap();
    for bytes in hello.chunks(piece) {
        if client.write_all(bytes).await.is_err() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    let mut echoed = vec![0; hello.len()];
    client.read_exact(&mut echoed).await.is_ok() && echoed == hello
}

#[test]
fn a_matching_server_name_passes_however_it_is_cut() {
    run(async {
        let port = echo_server().await.port();
        let proxy = Proxy::new(&["localhost"], &[]);
        for (name, fragment, piece) in [("localhost", 16_384, 16_384), ("LocalHost", 16_384, 1), ("localhost", 3, 5), ("localhost", 1, 7)] {
            assert!(passes(&proxy, &format!("localhost:{port}"), &client_hello(Some(name), fragment), piece).await, "{fragment} {piece}");
        }
        assert!(passes(&proxy, &format!("localhost:{port}"), &client_hello(None, 16_384), 100).await, "a client without server names");
        assert!(proxy.events().is_empty());
    });
}

#[test]
fn another_server_name_closes_the_tunnel_before_a_byte_is_passed_on() {
    run(async {
        let got = Rc::new(std::cell::Cell::new(0));
        let count = got.clone();
        let server = server(move |mut stream| {
            let count = count.clone();
            async move {
                let mut bytes = vec![0; 1000];
                while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                    count.set(count.get() + read);
                }
            }
        })
        .await;
        let proxy = Proxy::new(&["localhost"], &[]);
        let target = format!("localhost:{}", server.port());
        for (hello, piece) in [
            (client_hello(Some("front.example"), 16_384), 16_384),
            (client_hello(Some("front.example"), 5), 3),
            (client_hello(Some("localhost.evil.example"), 16_384), 100),
            (client_hello(Some("127.0.0.1"), 16_384), 100),
            ([&[21, 3, 3, 0, 2, 1, 90], &client_hello(Some("front.example"), 16_384)[..]].concat(), 100),
            ([&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..], &[0; 60_000]].concat(), 10_000),
        ] {
            assert!(!passes(&proxy, &target, &hello, piece).await);
        }
        assert_eq!(got.get(), 0);
        assert!(proxy.rules().iter().all(|rule| *rule == ("net.tls".to_owned(), target.clone())));
        assert_eq!(proxy.events().iter().map(|event| event.count).sum::<u64>(), 6);
        assert!(proxy.events()[0].reason.contains("front.example"), "{:?}", proxy.events()[0]);
    });
}

#[test]
fn a_tunnel_to_an_address_takes_allowed_names_only() {
    run(async {
        let server = echo_server().await;
        let proxy = Proxy::new(&["127.0.0.1", "kubernetes.example"], &[]);
        for (name, expected) in [(None, true), (Some("kubernetes.example"), true), (Some("front.example"), false)] {
            assert_eq!(passes(&proxy, &server.to_string(), &client_hello(name, 16_384), 100).await, expected, "{name:?}");
        }
    });
}

#[test]
fn a_server_that_speaks_first_is_heard_at_once() {
    run(async {
        let server = server(|mut stream| async move {
            stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
            let got = read_exactly(&mut stream, 4).await;
            stream.write_all(&got).await.unwrap();
        })
        .await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.tunnel(server).await;
        assert_eq!(read_exactly(&mut client, 11).await, b"SSH-2.0-x\r\n");
        client.write_all(b"SSH-").await.unwrap();
        assert_eq!(read_exactly(&mut client, 4).await, b"SSH-");
    });
}

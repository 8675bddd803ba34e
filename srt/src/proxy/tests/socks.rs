use super::*;

/// Greeting without authentication, then a request.
fn request(command: u8, address: &[u8], port: u16) -> Vec<u8> {
    [&[5, 1, 0, 5, command, 0], address, &port.to_be_bytes()].concat()
}

fn name(text: &str) -> Vec<u8> {
    [&[3, text.len() as u8], text.as_bytes()].concat()
}

async fn reply(proxy: &Proxy, bytes: &[u8]) -> (u8, TcpStream) {
    let mut client = proxy.connect().await;
    client.write_all(bytes).await.unwrap();
    assert_eq!(read_exactly(&mut client, 2).await, [5, 0]);
    (read_exactly(&mut client, 10).await[1], client)
}

#[test]
fn every_address_type_connects() {
    run(async {
        let server = echo_server().await;
        let port = server.port();
        let proxy = Proxy::new(&["127.0.0.1", "localhost"], &[]);
        let mapped: Vec<u8> = [&[4][..], &[0; 10], &[0xff, 0xff, 127, 0, 0, 1]].concat();
        for address in [vec![1, 127, 0, 0, 1], mapped, name("localhost"), name("LOCALHOST."), name("127.0.0.1"), name("0x7f.1")] {
            let (code, mut client) = reply(&proxy, &request(1, &address, port)).await;
            assert_eq!(code, 0, "{address:?}");
            client.write_all(b"hi").await.unwrap();
            assert_eq!(read_exactly(&mut client, 2).await, b"hi");
        }
        assert!(proxy.events().is_empty());
    });
}

#[test]
fn ipv6_connects_where_there_is_ipv6() {
    run(async {
        let Ok(listener) = TcpListener::bind("[::1]:0").await else {
            println!("skipped: no IPv6 loopback here");
            return;
        };
        let port = listener.local_addr().unwrap().port();
        let proxy = Proxy::new(&["[::1]"], &[]);
        let address: Vec<u8> = [&[4][..], &[0; 15], &[1]].concat();
        assert_eq!(reply(&proxy, &request(1, &address, port)).await.0, 0);
    });
}

#[test]
fn a_denied_destination_is_reply_2_and_an_event_with_the_reason() {
    run(async {
        let proxy = Proxy::new(&["example.com:443"], &["evil.example"]);
        for (address, port, rule, target) in [
            (name("other.example"), 443, "net.default", "other.example:443"),
            (name("example.com"), 22, "net.default", "example.com:22"),
            (name("evil.example"), 443, "net.deny.0", "evil.example:443"),
            (vec![1, 169, 254, 169, 254], 80, "net.default", "169.254.169.254:80"),
            (name("a\0b"), 443, "net.malformed", "a\0b:443"),
            (name("bücher.de"), 443, "net.malformed", "bücher.de:443"),
            (name(""), 443, "net.malformed", ":443"),
        ] {
            let (code, mut client) = reply(&proxy, &request(1, &address, port)).await;
            assert_eq!(code, 2, "{target}");
            assert_eq!(read_all(&mut client).await, "", "closed after the reply");
            let last = proxy.events().pop().unwrap();
            assert_eq!((last.rule.id.as_str(), last.target.as_str()), (rule, target));
        }
    });
}

#[test]
fn other_commands_and_address_types_have_their_reply() {
    run(async {
        let proxy = Proxy::new(&["127.0.0.1"], &[]);
        for (command, address, expected) in [(2, vec![1, 127, 0, 0, 1], 7), (3, vec![1, 0, 0, 0, 0], 7), (1, vec![9], 8)] {
            assert_eq!(reply(&proxy, &request(command, &address, 80)).await.0, expected);
        }
        assert_eq!(reply(&proxy, &request(1, &[1, 127, 0, 0, 1], 0)).await.0, 1, "port 0");
        assert!(proxy.events().is_empty());
    });
}

#[test]
fn failures_have_their_reply() {
    run(async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let proxy = Proxy::new(&["127.0.0.1", "*.invalid.example.invalid"], &[]);
        assert_eq!(reply(&proxy, &request(1, &[1, 127, 0, 0, 1], closed.port())).await.0, 5);
        assert_eq!(reply(&proxy, &request(1, &name("x.invalid.example.invalid"), 80)).await.0, 4);
        let denied = Proxy::new(&["localhost"], &["127.0.0.1", "[::1]"]);
        assert_eq!(reply(&denied, &request(1, &name("localhost"), 80)).await.0, 2);
        assert_eq!(denied.events().len(), 1);
    });
}

#[test]
fn any_credentials_are_accepted_and_none_are_needed() {
    run(async {
        let server = echo_server().await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.connect().await;
        client.write_all(&[5, 1, 2]).await.unwrap();
        assert_eq!(read_exactly(&mut client, 2).await, [5, 2]);
        client.write_all(b"\x01\x03ada\x00").await.unwrap();
        assert_eq!(read_exactly(&mut client, 2).await, [1, 0]);
        client.write_all(&[&[5, 1, 0, 1, 127, 0, 0, 1], &server.port().to_be_bytes()[..]].concat()).await.unwrap();
        assert_eq!(read_exactly(&mut client, 10).await[1], 0);
    });
}

#[test]
fn unknown_methods_and_socks4_are_closed() {
    run(async {
        let proxy = Proxy::new(&["127.0.0.1"], &[]);
        assert_eq!(proxy.talk([5, 2, 1, 3]).await.as_bytes(), "\u{5}\u{fffd}".as_bytes());
        assert_eq!(proxy.talk([4, 1, 0, 80, 127, 0, 0, 1, 0]).await, "");
    });
}

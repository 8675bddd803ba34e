use super::*;
use crate::policy::testing::Random;

/// Sends bytes, ends, and waits for the proxy to close.
async fn throw(proxy: &Proxy, bytes: &[u8]) {
    let mut client = proxy.connect().await;
    let _ = client.write_all(bytes).await;
    let _ = client.shutdown().await;
    let mut sink = Vec::new();
    let _ = client.read_to_end(&mut sink).await;
}

#[test]
fn damaged_and_cut_off_openings_leave_the_proxy_working() {
    run(async {
        let server = echo_server().await;
        let proxy = Proxy::allowing(server);
        let port = server.port().to_be_bytes();
        let openings = [
            format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n\r\n\x16\x03\x01\x00\x10").into_bytes(),
            format!("POST http://{server}/ HTTP/1.1\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello").into_bytes(),
            [&[5, 2, 0, 2, 5, 1, 0, 1, 127, 0, 0, 1], &port[..], b"data"].concat(),
            [&[5, 1, 0, 5, 1, 0, 3, 9], &b"localhost"[..], &port].concat(),
            b"\x05\x01\x02\x01\x03ada\x03pwd\x05\x01\x00\x04".to_vec(),
        ];
        let mut random = Random::new(5);
        for round in 0..400 {
            let mut bytes = openings[round % openings.len()].clone();
            for _ in 0..random.below(3) {
                let place = random.below(bytes.len());
                bytes[place] = random.next() as u8;
            }
            bytes.truncate(1 + random.below(bytes.len()));
            // A silent client is waited for; this one ends its direction, so nothing may wait.
            throw(&proxy, &bytes).await;
        }
        let mut client = proxy.tunnel(server).await;
        client.write_all(b"alive").await.unwrap();
        assert_eq!(read_exactly(&mut client, 5).await, b"alive");
    });
}

/// The same with a clock that jumps to the next deadline as soon as nothing else can happen.
fn run_fast(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn silent_clients_are_closed_whatever_they_began() {
    run_fast(async {
        let proxy = Proxy::new(&["example.com"], &[]);
        for opening in [
            &b""[..],
            b"\x05",
            b"\x05\x01\x00\x05\x01",
            b"\x05\x01\x02\x01\xff",
            b"GET http://exa",
            b"CONNECT example.com:443 HTTP/1.1\r\n",
        ] {
            let mut client = proxy.connect().await;
            client.write_all(opening).await.unwrap();
            let begun = tokio::time::Instant::now();
            read_all(&mut client).await;
            assert!(begun.elapsed() <= Duration::from_secs(61), "{opening:?}: {:?}", begun.elapsed());
        }
    });
}

#[test]
fn half_a_hello_is_not_waited_for_long() {
    run_fast(async {
        let server = echo_server().await;
        let proxy = Proxy::allowing(server);
        let mut client = proxy.tunnel(server).await;
        client.write_all(&crate::proxy::sni::tests::client_hello(None, 100)[..20]).await.unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(read_all(&mut client).await, "", "nothing was passed on");
        assert!(begun.elapsed() <= Duration::from_secs(11), "{:?}", begun.elapsed());
    });
}

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

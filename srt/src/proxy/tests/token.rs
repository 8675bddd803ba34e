use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// User name and password, as they stand in the URL that the command gets.
fn credentials(token: &Token) -> String {
    let url = token.url(1);
    url.strip_prefix("http://").and_then(|rest| rest.split_once('@')).unwrap().0.to_owned()
}

fn authorization(credentials: &str) -> String {
    format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(credentials))
}

/// A request of each kind, to a server that is allowed.
fn requests(server: SocketAddr, more: &str) -> [String; 2] {
    [format!("GET http://{server}/x HTTP/1.1\r\nConnection: close\r\n{more}\r\n"), format!("CONNECT {server} HTTP/1.1\r\n{more}\r\n")]
}

#[test]
fn without_the_token_every_request_is_407_and_nothing_is_told_or_dialled() {
    run(async {
        let (token, other) = (Token::random().unwrap(), Token::random().unwrap());
        let dialled = Rc::new(std::cell::Cell::new(false));
        let seen = dialled.clone();
        let server = server(move |_| {
            seen.set(true);
            async {}
        })
        .await;
        let proxy = Proxy::guarded(net_policy(&[&server.to_string()], &[]), &token);
        let right = credentials(&token);
        let wrong = [
            String::new(),
            authorization(&credentials(&other)),
            authorization(&right[..right.len() - 1]),
            authorization(&right).replace("Basic", "Bearer"),
        ];
        for request in wrong.iter().flat_map(|more| requests(server, more)) {
            let answer = proxy.talk(&request).await.to_lowercase();
            assert!(answer.starts_with("http/1.1 407 "), "{request} {answer}");
            assert!(answer.contains("\r\nproxy-authenticate: basic realm=\"srt\"\r\n"), "{answer}");
        }
        // A denied host looks the same as an allowed one.
        assert!(proxy.talk("CONNECT evil.example:443 HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 407 "));
        assert!(proxy.events().is_empty() && !dialled.get());
    });
}

#[test]
fn with_the_token_requests_are_served_and_it_goes_no_further() {
    run(async {
        let token = Token::random().unwrap();
        let server = mirror_server().await;
        let proxy = Proxy::guarded(net_policy(&[&server.to_string()], &[]), &token);
        let [plain, tunnel] = requests(server, &authorization(&credentials(&token)));
        let answer = proxy.talk(&plain).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(!answer.to_lowercase().contains("proxy-authorization"), "{answer}");
        let mut client = proxy.connect().await;
        client.write_all(tunnel.as_bytes()).await.unwrap();
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 "));
        // What is not allowed stays so, and is told.
        let denied = format!("CONNECT evil.example:443 HTTP/1.1\r\n{}\r\n", authorization(&credentials(&token)));
        assert!(proxy.talk(denied).await.starts_with("HTTP/1.1 403 "));
        assert_eq!(proxy.rules(), [("net.default".to_owned(), "evil.example:443".to_owned())]);
    });
}

#[test]
fn every_request_of_a_kept_connection_needs_it() {
    run(async {
        let token = Token::random().unwrap();
        let server = mirror_server().await;
        let proxy = Proxy::guarded(net_policy(&[&server.to_string()], &[]), &token);
        let mut client = proxy.connect().await;
        let first = format!("GET http://{server}/ HTTP/1.1\r\n{}\r\n", authorization(&credentials(&token)));
        client.write_all(format!("{first}GET http://{server}/ HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        let answers = read_all(&mut client).await;
        assert!(answers.starts_with("HTTP/1.1 200 ") && answers.contains("HTTP/1.1 407 "), "{answers}");
    });
}

/// The greeting that offers `methods`, then user name and password.
async fn greet(proxy: &Proxy, methods: &[u8], credentials: &str) -> (Vec<u8>, TcpStream) {
    let (user, password) = credentials.split_once(':').unwrap();
    let mut client = proxy.connect().await;
    client.write_all(&[&[5, methods.len() as u8], methods].concat()).await.unwrap();
    let mut said = read_exactly(&mut client, 2).await;
    if said == [5, 2] {
        let login = [&[1, user.len() as u8], user.as_bytes(), &[password.len() as u8], password.as_bytes()].concat();
        client.write_all(&login).await.unwrap();
        said.extend(read_exactly(&mut client, 2).await);
    }
    (said, client)
}

#[test]
fn socks_clients_must_give_the_token_as_password() {
    run(async {
        let (token, other) = (Token::random().unwrap(), Token::random().unwrap());
        let server = echo_server().await;
        let proxy = Proxy::guarded(net_policy(&[&server.to_string()], &[]), &token);
        assert_eq!(greet(&proxy, &[0], ":").await.0, [5, 0xff], "without a password");
        for wrong in [credentials(&other), credentials(&token).replace("srt", "x"), "srt:".to_owned()] {
            let (said, mut client) = greet(&proxy, &[0, 2], &wrong).await;
            assert_eq!(said, [5, 2, 1, 1], "{wrong}");
            assert_eq!(read_all(&mut client).await, "", "closed");
        }
        let (said, mut client) = greet(&proxy, &[0, 2], &credentials(&token)).await;
        assert_eq!(said, [5, 2, 1, 0]);
        client.write_all(&[&[5, 1, 0, 1, 127, 0, 0, 1], &server.port().to_be_bytes()[..]].concat()).await.unwrap();
        assert_eq!(read_exactly(&mut client, 10).await[1], 0);
        client.write_all(b"hi").await.unwrap();
        assert_eq!(read_exactly(&mut client, 2).await, b"hi");
    });
}

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::program::{Area, appears, id, send};

/// A server that answers every connection with one word.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap();
            // The secret of the run goes to no server.
            let word = if String::from_utf8_lossy(&head[..count]).to_lowercase().contains("proxy-") { "leaked" } else { "served" };
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n{word}").as_bytes());
        }
    });
    port
}

fn ask(proxy: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", proxy)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// `user:password` and port of `http://user:password@127.0.0.1:port`.
fn parts(url: &str) -> (String, u16) {
    let (credentials, address) = url.strip_prefix("http://").and_then(|rest| rest.split_once('@')).unwrap();
    (credentials.to_owned(), address.strip_prefix("127.0.0.1:").unwrap().parse().unwrap())
}

/// Base64 of a few bytes: the test shares nothing with the program.
fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes().chunks(3).fold(String::new(), |mut out, chunk| {
        let bits = (0..3).fold(0u32, |bits, place| bits << 8 | u32::from(*chunk.get(place).unwrap_or(&0)));
        for place in 0..4 {
            out.push(if place <= chunk.len() { char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]) } else { '=' });
        }
        out
    })
}

#[test]
fn the_proxy_serves_those_who_have_the_commands_environment_and_nobody_else() {
    let (area, server) = (Area::new(), server());
    let settings = format!(r#"{{"filesystem": {{"allowWrite": ["."]}}, "network": {{"allowedDomains": ["127.0.0.1:{server}"]}}}}"#);
    let mut run = area.program(&["sh", "-c", "echo \"$HTTP_PROXY $https_proxy\" > proxy; sleep 600"], &settings).spawn().unwrap();
    let said = appears(&area.path("proxy"));
    let (http, https) = said.split_once(' ').unwrap();
    assert_eq!(http, https);
    let (credentials, port) = parts(http);
    let request = |host: &str, more: &str| format!("GET http://{host}/ HTTP/1.1\r\nConnection: close\r\n{more}\r\n");
    let allowed = format!("127.0.0.1:{server}");
    let right = format!("Proxy-Authorization: Basic {}\r\n", base64(&credentials));
    let wrong = format!("Proxy-Authorization: Basic {}\r\n", base64("srt:0123"));
    assert!(ask(port, &request(&allowed, "")).starts_with("HTTP/1.1 407 "));
    assert!(ask(port, &request(&allowed, &wrong)).starts_with("HTTP/1.1 407 "));
    let served = ask(port, &request(&allowed, &right));
    assert!(served.starts_with("HTTP/1.1 200 ") && served.ends_with("served"), "{served}");
    assert!(ask(port, &request("evil.example", &right)).starts_with("HTTP/1.1 403 "));
    send(libc::SIGTERM, id(&run));
    run.wait().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it ends with the run");
}

#[test]
fn port_and_secret_of_two_runs_differ() {
    let area = Area::new();
    let urls = [(); 2].map(|()| crate::program::text(&area.run("echo \"$HTTP_PROXY\"").output().unwrap().stdout).trim().to_owned());
    let [one, other] = urls.each_ref().map(|url| parts(url).0);
    assert_ne!(one, other);
}

//! A small client of the proxies that the environment names: plain HTTP, CONNECT and SOCKS5.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::answer::{Answer, Failure, Operation};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "http-get", arguments: &["HOST:PORT"], run: http_get },
    Operation { name: "http-get-half-closed", arguments: &["HOST:PORT"], run: http_get_half_closed },
    Operation { name: "connect-get", arguments: &["HOST:PORT"], run: connect_get },
    Operation { name: "socks-get", arguments: &["HOST:PORT"], run: socks_get },
    Operation { name: "proxy-raw", arguments: &["TEXT"], run: raw },
    Operation { name: "tunnels", arguments: &["COUNT", "HOST:PORT"], run: tunnels },
    Operation { name: "tls-hello", arguments: &["HOST:PORT", "SERVER-NAME"], run: tls_hello },
    Operation { name: "bulk", arguments: &["BYTES", "HOST:PORT"], run: bulk },
];

/// Where the environment says the proxy is: `scheme://[user:password@]host:port[/]`.
fn proxy_address(variable: &str) -> Result<String, Failure> {
    let value = std::env::var(variable).map_err(|_| Failure::Other(format!("{variable} is not set")))?;
    let rest = value.split_once("://").map_or(value.as_str(), |(_, rest)| rest).trim_end_matches('/');
    Ok(rest.rsplit_once('@').map_or(rest, |(_, address)| address).to_owned())
}

fn proxy(variable: &str) -> Result<TcpStream, Failure> {
    Ok(TcpStream::connect(proxy_address(variable)?)?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// Sends a request and reads to the end.
fn exchange(mut stream: TcpStream, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn request(target: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n")
}

/// A plain request in absolute form; prints the whole answer.
fn http_get(arguments: &[String]) -> Answer {
    let target = &arguments[0];
    let absolute = request(target).replacen("GET /", &format!("GET http://{target}/"), 1);
    Ok(text(&exchange(proxy("http_proxy")?, &absolute)?))
}

/// The same, with the writing half closed before the answer is read, as `nc -N` does.
fn http_get_half_closed(arguments: &[String]) -> Answer {
    let target = &arguments[0];
    let absolute = request(target).replacen("GET /", &format!("GET http://{target}/"), 1);
    let stream = proxy("http_proxy")?;
    (&stream).write_all(absolute.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    Ok(text(&exchange(stream, "")?))
}

/// Whatever the caller writes: for requests that no client makes.
fn raw(arguments: &[String]) -> Answer {
    let bytes = arguments[0].replace("\\r", "\r").replace("\\n", "\n");
    let stream = proxy("http_proxy")?;
    // An answer that leaves the connection open would be waited for without end.
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
    (&stream).write_all(bytes.as_bytes())?;
    let mut answer = Vec::new();
    match (&stream).read_to_end(&mut answer) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error.into()),
        _ => Ok(text(&answer)),
    }
}

/// Reads one head, up to and with the empty line.
fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0; 1];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        bytes.push(byte[0]);
    }
    Ok(text(&bytes))
}

/// Opens a tunnel; `Err` holds the whole refusal.
fn tunnel(target: &str) -> Result<Result<TcpStream, String>, Failure> {
    let mut stream = proxy("https_proxy")?;
    stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())?;
    let answer = head(&mut stream)?;
    if answer.split(' ').nth(1) == Some("200") {
        return Ok(Ok(stream));
    }
    let mut body = Vec::new();
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut body)?;
    Ok(Err(format!("{answer}\n\n{}", text(&body))))
}

/// CONNECT, then a request through the tunnel; prints the refusal or the answer from the far end.
fn connect_get(arguments: &[String]) -> Answer {
    match tunnel(&arguments[0])? {
        Ok(stream) => Ok(text(&exchange(stream, &request(&arguments[0]))?)),
        Err(refusal) => Ok(refusal),
    }
}

/// Holds COUNT tunnels open at once, then uses each; prints how many answered.
fn tunnels(arguments: &[String]) -> Answer {
    let count: usize = arguments[0].parse().map_err(|_| Failure::Usage("COUNT is a number".into()))?;
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(tunnel(&arguments[1])?.map_err(Failure::Other)?);
    }
    let mut answered = 0;
    for stream in open {
        answered += usize::from(exchange(stream, &request(&arguments[1]))?.starts_with(b"HTTP/1.1 200"));
    }
    Ok(answered.to_string())
}

/// Sends the first message of a TLS session for SERVER-NAME through a tunnel to HOST:PORT; prints what comes back before the end.
fn tls_hello(arguments: &[String]) -> Answer {
    let mut stream = tunnel(&arguments[0])?.map_err(Failure::Other)?;
    stream.write_all(&client_hello(&arguments[1]))?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok("closed".into()),
        Err(error) => Err(error.into()),
        Ok(0) => Ok("closed".into()),
        Ok(_) => Ok(text(&answer)),
    }
}

/// A ClientHello with one cipher suite and the extension server_name (RFC 8446 section 4.1.2, RFC 6066 section 3).
fn client_hello(name: &str) -> Vec<u8> {
    let sized = |body: &[u8]| [&(body.len() as u16).to_be_bytes()[..], body].concat();
    let entry = [&[0][..], &sized(name.as_bytes())].concat();
    let extension = [&[0, 0][..], &sized(&sized(&entry))].concat();
    let suites_and_compression = [0, 2, 0x13, 0x01, 1, 0];
    let body = [&[3, 3][..], &[7; 32], &[0], &suites_and_compression, &sized(&extension)].concat();
    let handshake = [&[1, 0][..], &sized(&body)].concat();
    [&[0x16, 3, 1][..], &sized(&handshake)].concat()
}

/// Sends BYTES through a tunnel to a server that counts them, closes its half, and prints the server's count: half-close must work.
fn bulk(arguments: &[String]) -> Answer {
    let total: usize = arguments[0].parse().map_err(|_| Failure::Usage("BYTES is a number".into()))?;
    let mut stream = tunnel(&arguments[1])?.map_err(Failure::Other)?;
    let block = vec![b'x'; 64 * 1024];
    let mut left = total;
    while left > 0 {
        let part = left.min(block.len());
        stream.write_all(&block[..part])?;
        left -= part;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(text(&answer))
}

/// SOCKS5 without authentication, name sent as name (RFC 1928); prints `socks N` when refused with code N.
fn socks_get(arguments: &[String]) -> Answer {
    let (host, port) = arguments[0].rsplit_once(':').ok_or_else(|| Failure::Usage("HOST:PORT".into()))?;
    let port: u16 = port.parse().map_err(|_| Failure::Usage("PORT is a number".into()))?;
    let mut stream = proxy("http_proxy")?;
    stream.write_all(&[5, 1, 0])?;
    let mut method = [0; 2];
    stream.read_exact(&mut method)?;
    if method != [5, 0] {
        return Err(Failure::Other(format!("authentication method {method:?}")));
    }
    let length = u8::try_from(host.len()).map_err(|_| Failure::Usage("a name has at most 255 bytes".into()))?;
    stream.write_all(&[&[5, 1, 0, 3, length], host.as_bytes(), &port.to_be_bytes()].concat())?;
    let mut reply = [0; 4];
    stream.read_exact(&mut reply)?;
    if reply[1] != 0 {
        return Ok(format!("socks {}", reply[1]));
    }
    let rest = if reply[3] == 4 { 18 } else { 6 };
    stream.read_exact(&mut vec![0; rest])?;
    Ok(text(&exchange(stream, &request(&arguments[0]))?))
}

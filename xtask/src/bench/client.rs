//! The measuring client: this program again, run directly or inside a sandbox.
//!
//! Prints one number, in seconds per unit of work, so that the sandbox's start is not measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// `bench-client requests|tunnels|bulk COUNT HOST:PORT`: through the proxy that the environment names, directly without one.
pub(crate) fn client(words: &[&str]) -> Result<bool, String> {
    let [job, count, target] = words else { return Err("bench-client JOB COUNT HOST:PORT".into()) };
    let count: usize = count.parse().map_err(|_| "COUNT is a number".to_owned())?;
    let proxy = std::env::var("http_proxy").ok().map(|url| address(&url));
    let seconds = match *job {
        "requests" => requests(count, target, proxy.as_deref()),
        "tunnels" => tunnels(count, target, proxy.as_deref()),
        "bulk" => bulk(count, target, proxy.as_deref()),
        _ => return Err(format!("no job {job}")),
    };
    println!("{:e}", seconds.map_err(|error| format!("{job}: {error}"))?);
    Ok(true)
}

/// `host:port` of a proxy's URL.
fn address(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    rest.rsplit_once('@').map_or(rest, |(_, address)| address).to_owned()
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Small requests on one kept connection: seconds a request.
fn requests(count: usize, target: &str, proxy: Option<&str>) -> std::io::Result<f64> {
    let mut stream = BufReader::new(connect(proxy.unwrap_or(target))?);
    let line = if proxy.is_some() { format!("GET http://{target}/ HTTP/1.1") } else { "GET / HTTP/1.1".into() };
    let request = format!("{line}\r\nHost: {target}\r\n\r\n");
    let start = Instant::now();
    for _ in 0..count {
        stream.get_mut().write_all(request.as_bytes())?;
        read_answer(&mut stream)?;
    }
    Ok(start.elapsed().as_secs_f64() / count as f64)
}

/// One answer with a known length.
fn read_answer(stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let mut length = 0;
    let mut first = String::new();
    stream.read_line(&mut first)?;
    if first.split(' ').nth(1) != Some("200") {
        return Err(std::io::Error::other(format!("answer {first:?}")));
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    stream.read_exact(&mut vec![0; length])
}

/// A connection to the target, through a tunnel where there is a proxy.
fn tunnel(target: &str, proxy: Option<&str>) -> std::io::Result<TcpStream> {
    let Some(proxy) = proxy else { return connect(target) };
    let mut stream = BufReader::new(connect(proxy)?);
    stream.get_mut().write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())?;
    read_answer(&mut stream)?;
    Ok(stream.into_inner())
}

/// Seconds from nothing to an open connection. A request on each, which is not timed, proves that it leads to the server and keeps the
/// server's backlog empty: past it the kernel drops the SYN and sends it again a second later.
fn tunnels(count: usize, target: &str, proxy: Option<&str>) -> std::io::Result<f64> {
    let mut total = 0.0;
    for _ in 0..count {
        let start = Instant::now();
        let stream = tunnel(target, proxy)?;
        total += start.elapsed().as_secs_f64();
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        read_answer(&mut stream)?;
    }
    Ok(total / count as f64)
}

/// Asks the server for `count` MiB: seconds a MiB.
fn bulk(count: usize, target: &str, proxy: Option<&str>) -> std::io::Result<f64> {
    let mut stream = tunnel(target, proxy)?;
    let start = Instant::now();
    stream.write_all(format!("BULK {count}\r\n\r\n").as_bytes())?;
    let mut block = vec![0; 256 * 1024];
    let mut left = count * 1024 * 1024;
    while left > 0 {
        match stream.read(&mut block)? {
            0 => return Err(std::io::Error::other("the stream ended early")),
            got => left = left.saturating_sub(got),
        }
    }
    Ok(start.elapsed().as_secs_f64() / count as f64)
}

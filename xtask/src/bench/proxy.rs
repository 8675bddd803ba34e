//! Requests, tunnels and bulk through the proxy, beside direct loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use super::side::{Bench, Side};
use super::table::{heading, line, median, seconds};

pub(super) fn run(bench: &Bench) -> Result<(), String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("cannot listen: {error}"))?;
    let port = listener.local_addr().map_err(|error| format!("cannot listen: {error}"))?.port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(std::thread::spawn(move || serve(stream)))));
    let target = format!("127.0.0.1:{port}");
    bench.write_settings(&target)?;
    let size = |full: usize| if bench.quick { full / 5 } else { full };
    requests(bench, &target, size(5000))?;
    tunnels(bench, &target, size(1000))?;
    bulk(bench, &target, size(2000))
}

/// Keeps the connection: small answers to requests, and as many bytes as `BULK n` asks for.
fn serve(stream: TcpStream) {
    let _delay = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Some(first) = read_head(&mut stream) {
        let sent = match first.strip_prefix("BULK ") {
            Some(count) => send_bulk(stream.get_mut(), count.trim().parse().unwrap_or(0)),
            None => stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn read_head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut first = String::new();
    stream.read_line(&mut first).ok().filter(|count| *count > 0)?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line.trim().is_empty() {
            return Some(first);
        }
    }
}

fn send_bulk(stream: &mut TcpStream, mebibytes: usize) -> std::io::Result<()> {
    let block = vec![b'x'; 1024 * 1024];
    (0..mebibytes).try_for_each(|_| stream.write_all(&block))
}

/// Median seconds of both sides, taking turns.
fn compare(bench: &Bench, job: &str, count: usize, target: &str) -> Result<(f64, f64), String> {
    let myself = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let (myself, count) = (myself.display().to_string(), count.to_string());
    let words = [myself.as_str(), "bench-client", job, &count, target];
    let (mut direct, mut inside) = (Vec::new(), Vec::new());
    for _ in 0..if bench.quick { 3 } else { 7 } {
        direct.push(measure(bench, Side::None, &words)?);
        inside.push(measure(bench, Side::Srt, &words)?);
    }
    Ok((median(direct), median(inside)))
}

fn measure(bench: &Bench, side: Side, words: &[&str]) -> Result<f64, String> {
    let mut command = bench.command(side, words);
    if side == Side::None {
        command.env_remove("http_proxy");
    }
    let output =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().map_err(|error| format!("cannot start {}: {error}", side.name()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("{}: {} {}", side.name(), text.trim(), String::from_utf8_lossy(&output.stderr).trim()))
}

fn requests(bench: &Bench, target: &str, count: usize) -> Result<(), String> {
    let (direct, inside) = compare(bench, "requests", count, target)?;
    heading(&format!("{count} small requests on one connection"), "≥ 0.6 × direct, ≤ 60 µs added");
    line("direct loopback", &format!("{:.0}/s", 1.0 / direct), &seconds(direct));
    line(
        "through the proxy",
        &format!("{:.0}/s", 1.0 / inside),
        &format!("{}, {:.2} × direct, {} added", seconds(inside), direct / inside, seconds(inside - direct)),
    );
    Ok(())
}

fn tunnels(bench: &Bench, target: &str, count: usize) -> Result<(), String> {
    let (direct, inside) = compare(bench, "tunnels", count, target)?;
    heading(&format!("setting up {count} tunnels, one after the other"), "≤ 150 µs");
    line("direct connect", &seconds(direct), "");
    line("CONNECT through the proxy", &seconds(inside), &format!("{} more", seconds(inside - direct)));
    Ok(())
}

fn bulk(bench: &Bench, target: &str, mebibytes: usize) -> Result<(), String> {
    let (direct, inside) = compare(bench, "bulk", mebibytes, target)?;
    heading(&format!("{mebibytes} MiB on one connection"), "≥ 0.8 × direct");
    let rate = |seconds: f64| format!("{:.2} GiB/s", 1.0 / seconds / 1024.0);
    line("direct loopback", &rate(direct), "");
    line("through a tunnel", &rate(inside), &format!("{:.2} × direct", direct / inside));
    Ok(())
}

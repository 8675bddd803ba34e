//! The proxy against real sockets on loopback, with peers of our own.
//!
//! - `http`: CONNECT and plain requests, refusals, framing, kept connections, upgrades
//! - `socks`: every address type, replies, credentials
//! - `tls`: server names
//! - `token`: a proxy that others reach too
//! - `relay`: half-close, bulk, many tunnels, slow readers
//! - `parents`: HTTP and SOCKS5 parents, a proxy on a UNIX socket, the user's own proxy
//! - `ask`: questions, and policies that are replaced
//! - `hostile`: random and truncated bytes
//! - `lookups`, `transparent`: the name server and connections without proxies, in a network of their own (`inside`)
//!
//! This file holds the world they run in.

mod ask;
mod hostile;
mod http;
#[cfg(target_os = "linux")]
mod inside;
#[cfg(target_os = "linux")]
mod lookups;
mod parents;
mod relay;
mod socks;
mod tls;
mod token;
#[cfg(target_os = "linux")]
mod transparent;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::policy::NetPolicy;
use crate::policy::testing::{net_policy, network_settings};
use crate::proxy::{ProxyContext, Token, serve};
use crate::violation::{Event, EventSink};

/// Longest time that a test waits for anything: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on one thread, as the supervisor does.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(PATIENCE, test).await.expect("the test hangs") });
}

/// A running proxy.
struct Proxy {
    address: SocketAddr,
    events: EventSink,
}

impl Proxy {
    /// With these entries.
    fn new(allow: &[&str], deny: &[&str]) -> Proxy {
        Self::with_policy(net_policy(allow, deny))
    }

    /// Allows the address of a test's own server.
    fn allowing(server: SocketAddr) -> Proxy {
        Self::new(&[&server.to_string()], &[])
    }

    fn with_policy(policy: NetPolicy) -> Proxy {
        Self::start(policy, None)
    }

    /// For those who present the token.
    fn guarded(policy: NetPolicy, token: &Token) -> Proxy {
        Self::start(policy, Some(token.clone()))
    }

    fn start(policy: NetPolicy, token: Option<Token>) -> Proxy {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, events) = (listener.local_addr().unwrap(), EventSink::default());
        let context = Rc::new(ProxyContext::new(policy, events.clone()).guarded_by(token));
        tokio::task::spawn_local(async move { serve(listener, context).await.unwrap() });
        Proxy { address, events }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends the bytes, then reads to the end.
    async fn talk(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes.as_ref()).await.unwrap();
        read_all(&mut client).await
    }

    /// A tunnel by CONNECT, which must open.
    async fn tunnel(&self, target: impl std::fmt::Display) -> TcpStream {
        let mut client = self.connect().await;
        client.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).await.unwrap();
        let head = read_head(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        client
    }

    fn events(&self) -> Vec<Event> {
        self.events.snapshot().events
    }

    /// Rule and target of each event.
    fn rules(&self) -> Vec<(String, String)> {
        self.events().into_iter().map(|event| (event.rule.id, event.target)).collect()
    }
}

/// Accepts connections and runs `peer` on each.
async fn server<F: Future<Output = ()> + 'static>(peer: impl Fn(TcpStream) -> F + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(peer(stream));
        }
    });
    address
}

/// Sends back what it gets, then its end.
async fn echo_server() -> SocketAddr {
    server(|mut stream| async move {
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        let _ = writer.shutdown().await;
    })
    .await
}

/// Answers every request head with the head itself as body, and keeps the connection.
async fn mirror_server() -> SocketAddr {
    server(|mut stream| async move {
        loop {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                return;
            }
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Strip_Me: 1\r\nProxy-Secret: 1\r\n\r\n{head}", head.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

/// Reads up to and including the empty line; shorter at the end of the stream.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn read_exactly(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// Network settings with these entries, to be changed further.
fn settings(allow: &[&str]) -> crate::settings::NetworkSettings {
    network_settings(allow, &[])
}

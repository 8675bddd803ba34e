//! A client, the proxy and one upstream on sockets of this process. Nothing is dialled and no name is looked up: whatever is allowed goes to a proxy of ours.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::LocalSet;

use crate::policy::testing::network_settings;
use crate::policy::{Host, Located, NetPolicy, Origin, Target};
use crate::proxy::ProxyContext;
use crate::proxy::sni::{Hello, parse};
use crate::proxy::stream::Stream;
use crate::settings::MitmProxySettings;
use crate::violation::EventSink;

const ALLOWED: [&str; 4] = ["allowed.example", "*.allowed.example", "192.0.2.1:443", "[2001:db8::1]"];
const DENIED: [&str; 2] = ["denied.allowed.example", "port.allowed.example:22"];

/// Nothing here waits for anything but bytes of this process.
const PATIENCE: Duration = Duration::from_secs(15);

/// Allows some names below `allowed.example` and two addresses.
pub(in crate::proxy) fn policy(socket: Option<&str>) -> NetPolicy {
    let located = |entry: &str| Located::new(entry.to_owned(), Origin::BuiltIn("fuzzing"));
    let mitm = socket.map(|socket| {
        let domains = ALLOWED.into_iter().map(located).collect();
        Located::new(MitmProxySettings { socket_path: socket.to_owned(), domains }, Origin::BuiltIn("fuzzing"))
    });
    let settings = crate::settings::NetworkSettings { mitm_proxy: mitm, ..network_settings(&ALLOWED, &DENIED) };
    NetPolicy::build(&settings).expect("valid entries")
}

/// By the definition of the entries above, not by the policy.
pub(super) fn allowed(target: &Target) -> bool {
    let host = target.host.to_string();
    match host.as_str() {
        "denied.allowed.example" => false,
        "port.allowed.example" => target.port != 22,
        "allowed.example" | "[2001:db8::1]" => true,
        "192.0.2.1" => target.port == 443,
        name => name.ends_with(".allowed.example"),
    }
}

/// Runs one conversation to its end.
pub(super) fn run<T>(conversation: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| {
        LocalSet::new().block_on(runtime, async { tokio::time::timeout(PATIENCE, conversation).await.expect("everything comes to an end") })
    })
}

/// What the upstream got on one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Got {
    /// The request, up to its empty line.
    pub(super) head: Vec<u8>,
    /// Body or tunnel.
    pub(super) rest: Vec<u8>,
    /// More came than the request announced.
    pub(super) surplus: bool,
}

/// The proxy behind the proxy.
pub(super) struct Upstream {
    path: PathBuf,
    got: Rc<RefCell<Vec<Got>>>,
}

impl Upstream {
    /// Answers each request once, and closes.
    pub(super) fn start() -> Upstream {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("srt-fuzz-{}-{number}", std::process::id()));
        let listener = UnixListener::bind(&path).expect("a socket");
        let got: Rc<RefCell<Vec<Got>>> = Rc::default();
        let all = got.clone();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _from)) = listener.accept().await {
                let all = all.clone();
                tokio::task::spawn_local(async move {
                    let mut got = Got::default();
                    let _end = serve(stream, &mut got).await;
                    all.borrow_mut().push(got);
                });
            }
        });
        Upstream { path, got }
    }

    /// A proxy that sends everything here.
    pub(super) fn context(&self) -> Rc<ProxyContext> {
        let context = ProxyContext::new(policy(self.path.to_str()), EventSink::default());
        context.lookups.close();
        Rc::new(context)
    }

    /// What came, once all of it has.
    pub(super) async fn got(&self) -> Vec<Got> {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        self.got.borrow().clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(mut stream: UnixStream, got: &mut Got) -> io::Result<()> {
    while !got.head.ends_with(b"\r\n\r\n") {
        got.head.push(stream.read_u8().await?);
    }
    let tunnel = got.head.starts_with(b"CONNECT ");
    if tunnel {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        stream.read_to_end(&mut got.rest).await?;
        return Ok(());
    }
    let text = String::from_utf8_lossy(&got.head).to_ascii_lowercase();
    let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let chunked = text.contains("\r\ntransfer-encoding:");
    while !(chunked && chunks_end(&got.rest) || !chunked && got.rest.len() >= length.unwrap_or(0)) {
        got.rest.push(stream.read_u8().await?);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await?;
    stream.shutdown().await?;
    got.surplus = stream.read_u8().await.is_ok();
    Ok(())
}

/// Does a body in chunks end here? (RFC 9112 section 7.1, as hyper writes it: without extensions and trailers.)
fn chunks_end(mut body: &[u8]) -> bool {
    loop {
        let Some(end) = body.windows(2).position(|pair| pair == b"\r\n") else { return false };
        let size =
            std::str::from_utf8(&body[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok()).expect("the size of a chunk");
        let Some(rest) = body.get(end + 2 + size + 2..) else { return false };
        if size == 0 {
            return rest.is_empty();
        }
        body = rest;
    }
}

/// The proxy's end of a client's connection, and all that the client reads until it is closed. The client writes in two pieces, then ends its side.
pub(super) fn client(data: &[u8]) -> (Stream, tokio::task::JoinHandle<Vec<u8>>) {
    let (ours, proxys) = UnixStream::pair().expect("sockets");
    let data = data.to_vec();
    let heard = tokio::task::spawn_local(async move {
        let (mut reader, mut writer) = ours.into_split();
        let speak = async {
            let (first, second) = data.split_at(data.len() / 2);
            let _hung_up = writer.write_all(first).await;
            tokio::task::yield_now().await;
            let _hung_up = writer.write_all(second).await;
            let _hung_up = writer.shutdown().await;
        };
        let mut heard = Vec::new();
        let _ = tokio::join!(speak, reader.read_to_end(&mut heard));
        heard
    });
    (Stream::Unix(proxys), heard)
}

/// What goes through a tunnel is no TLS for another name.
pub(super) fn is_screened(tunnel: &[u8], target: &Target) {
    match parse(tunnel) {
        Hello::Opaque => {}
        Hello::Complete(None) => {}
        Hello::Complete(Some(name)) => match (Host::parse(&name), &target.host) {
            (Ok(host @ Host::Name(_)), Host::Ip(_)) => assert!(allowed(&Target { host, port: target.port }), "{name}"),
            (host, own) => assert_eq!(host.as_ref(), Ok(own), "{name}"),
        },
        Hello::Incomplete => assert!(tunnel.is_empty(), "{tunnel:?}"),
        Hello::Refused => panic!("{tunnel:?} went through"),
    }
}

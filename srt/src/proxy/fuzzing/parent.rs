//! Answers of parent proxies: a tunnel opens by a whole acceptance only, and no byte behind it is lost or added.

use std::os::fd::AsFd;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::world::run;
use crate::policy::{ParentProtocol, ParentUrl, Target};
use crate::proxy::parent::{basic_authorization, http_tunnel, socks_tunnel};
use crate::proxy::stream::{Peer, Stream};

/// A byte of choices (1: SOCKS5, 2: with a password, 4: in pieces), then what the parent says before it closes.
pub(crate) fn parent(data: &[u8]) {
    let Some((choice, answer)) = data.split_first().filter(|(_, answer)| answer.len() <= 4096) else { return };
    let pieces = if choice & 4 != 0 { 3 } else { 1 };
    let url = ParentUrl {
        protocol: if choice & 1 != 0 { ParentProtocol::Socks5 } else { ParentProtocol::Http },
        target: Target::parse("parent.example:1").expect("a target"),
        credentials: (choice & 2 != 0).then(|| ("ada".to_owned(), "secret".to_owned())),
    };
    match url.protocol {
        ParentProtocol::Http => http_accepts_what_it_should(&url, answer, pieces),
        ParentProtocol::Socks5 => socks_accepts_what_it_should(&url, answer, pieces),
    }
}

fn target() -> Target {
    Target::parse("allowed.example:443").expect("a target")
}

fn http_accepts_what_it_should(url: &ParentUrl, answer: &[u8], pieces: usize) {
    let (asked, tail) = run(async {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let parent = tokio::task::spawn_local(speak(theirs, answer.to_vec(), pieces));
        let opened = http_tunnel(Stream::Unix(ours), &target(), basic_authorization(url)).await;
        let tail = rest(opened.ok()).await;
        (parent.await.expect("the parent"), tail)
    });
    let asked = String::from_utf8_lossy(&asked);
    assert!(asked.is_empty() || asked.starts_with("CONNECT allowed.example:443 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.is_empty() || asked.contains("roxy-") == url.credentials.is_some(), "{asked}");
    let Some(tail) = tail else { return };
    let head = answer.strip_suffix(&tail[..]).unwrap_or_else(|| panic!("{tail:?} is the end of {answer:?}"));
    let shown = String::from_utf8_lossy(head);
    assert!(shown.ends_with("\n\r\n") || shown.ends_with("\n\n"), "{shown:?}");
    // Answers that only announce another (1xx) may come before it.
    let last = shown.rmatch_indices("HTTP/1.").next().map(|(at, _)| &shown[at..]).unwrap_or_default();
    assert!(last.split(' ').nth(1).is_some_and(|code| code.starts_with('2')) || shown.contains(" 2"), "{shown:?}");
}

fn socks_accepts_what_it_should(url: &ParentUrl, answer: &[u8], pieces: usize) {
    let tail = run(async {
        let (ours, theirs) = tcp_pair().await;
        let parent = tokio::task::spawn_local(speak(theirs, answer.to_vec(), pieces));
        let opened = socks_tunnel(ours, url, &target()).await;
        let tail = rest(opened.ok()).await;
        let _asked = parent.await;
        tail
    });
    let expected = accepted(answer, url.credentials.is_some());
    if let Some(tail) = tail {
        assert_eq!(Some(&tail[..]), expected, "{answer:?}");
    }
}

/// What follows a whole acceptance; `None` where it is none (RFC 1928, 1929).
fn accepted(answer: &[u8], with_password: bool) -> Option<&[u8]> {
    let (method, mut rest) = answer.split_first_chunk()?;
    match method {
        [5, 0] => {}
        [5, 2] if with_password => {
            let ([1, 0], after) = rest.split_first_chunk()? else { return None };
            rest = after;
        }
        _ => return None,
    }
    let ([5, 0, _reserved, kind], rest) = rest.split_first_chunk()? else { return None };
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => 1 + usize::from(*rest.first()?),
        _ => return None,
    };
    rest.get(length + 2..)
}

/// Says the answer, ends, and listens to the end.
async fn speak(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, answer: Vec<u8>, pieces: usize) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let speak = async {
        for piece in answer.chunks(answer.len().div_ceil(pieces).max(1)) {
            let _hung_up = writer.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        let _hung_up = writer.shutdown().await;
    };
    let mut asked = Vec::new();
    let _ = tokio::join!(speak, reader.read_to_end(&mut asked));
    asked
}

/// Everything that an open tunnel gives.
async fn rest(peer: Option<Peer>) -> Option<Vec<u8>> {
    let peer = peer?;
    let mut all = peer.early.to_vec();
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = peer.stream.read_some(&mut buffer).await {
        all.extend_from_slice(&buffer[..count]);
    }
    Some(all)
}

/// Closed without a trace: a port that waits is of no use to the next input.
async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (ours, theirs) = (ours.expect("a connection"), theirs.expect("a connection").0);
    at_once(&ours);
    (ours, theirs)
}

fn at_once(stream: &impl AsFd) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).expect("an option of every socket");
}

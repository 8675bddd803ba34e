//! DNS over TCP: messages with their length before them, any number on a connection (RFC 7766).

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Zone;
use super::answer::{Transport, answer};
use crate::proxy::listener::ACCEPT_PAUSE;

/// Connections at once; more wait in the kernel's backlog.
const CONNECTIONS: usize = 64;
/// Without a whole question in this time, or with an answer that nobody reads, the connection ends (RFC 7766 section 6.2.3: some seconds).
const IDLE: Duration = Duration::from_secs(10);

/// Accepts connections until the future is dropped.
///
/// # Errors
/// The listener cannot be used at all.
pub(in crate::proxy) async fn serve(listener: std::net::TcpListener, zone: Rc<Zone>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        match listener.accept().await {
            Ok((client, _from)) => {
                let zone = zone.clone();
                tokio::task::spawn_local(async move {
                    let _place = place;
                    // The client went away, was too slow, or sent what is no question: its connection ends.
                    let _end = converse(client, &zone).await;
                });
            }
            Err(_failure) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn converse(mut client: TcpStream, zone: &Zone) -> io::Result<()> {
    client.set_nodelay(true)?;
    loop {
        let question = timeout(IDLE, question(&mut client)).await??;
        let Some(answer) = answer(&question, Transport::Stream, zone) else {
            return Ok(());
        };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        timeout(IDLE, client.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat())).await??;
    }
}

/// At most 64 KiB, and not more than came: the length alone makes nothing be allocated.
async fn question(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = client.read_u16().await?;
    let mut question = Vec::new();
    client.take(length.into()).read_to_end(&mut question).await?;
    if question.len() == usize::from(length) { Ok(question) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

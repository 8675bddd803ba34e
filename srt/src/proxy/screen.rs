//! The first bytes of a tunnel: a TLS client must ask for the host that the tunnel was opened for.
//!
//! Otherwise an allowed name would open the door to every site behind the same front (domain fronting). Protocols that are not TLS
//! pass as they are, and where the server speaks first nothing waits for this: the other direction is relayed meanwhile.

use tokio::io::Interest;
use tokio::time::timeout;

use super::ProxyContext;
use super::denial::{Attempt, Seen};
use super::limits;
use super::sni::{self, Hello};
use super::stream::Peer;
use crate::policy::{Host, Target};
use crate::violation::Kind;

/// Bytes read at once: more than an ordinary ClientHello.
const READ: usize = 2048;

/// Why a tunnel was closed before the client's first bytes were passed on.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The names differ, or the hello could not be read. It was reported.
    Refused,
    /// The client went away or was too slow.
    Gone,
}

/// Reads the client's first bytes and returns them if they may pass; empty where the client ends without any.
pub(super) async fn first_bytes(context: &ProxyContext, client: &Peer, target: &Target) -> Result<Vec<u8>, Stopped> {
    let mut bytes = client.early.to_vec();
    if bytes.is_empty() {
        // There may be no first byte for long: nothing is allocated before it comes.
        client.stream.ready(Interest::READABLE).await.map_err(|_closed| Stopped::Gone)?;
        if read_more(client, &mut bytes).await? == 0 {
            return Ok(bytes);
        }
    }
    timeout(limits::HANDSHAKE, judge(context, client, target, bytes)).await.map_err(|_elapsed| Stopped::Gone)?
}

async fn judge(context: &ProxyContext, client: &Peer, target: &Target, mut bytes: Vec<u8>) -> Result<Vec<u8>, Stopped> {
    loop {
        match sni::parse(&bytes) {
            Hello::Opaque => return Ok(bytes),
            Hello::Complete(name) if is_served(context, name.as_deref(), target) => return Ok(bytes),
            Hello::Complete(name) => return Err(refuse(context, target, name.as_deref())),
            Hello::Incomplete if bytes.len() < limits::CLIENT_HELLO => {}
            Hello::Incomplete | Hello::Refused => return Err(refuse(context, target, None)),
        }
        // A hello that ends in the middle is of no use to any server; it is not passed on.
        if read_more(client, &mut bytes).await? == 0 {
            return Err(Stopped::Gone);
        }
    }
}

/// Does the server name belong to this tunnel? A client that sends none gets what the server's default is, which is that host's own affair.
/// On a tunnel to an address literal, a name passes if the policy allows that name too.
fn is_served(context: &ProxyContext, name: Option<&str>, target: &Target) -> bool {
    let Some(name) = name else {
        return true;
    };
    match (Host::parse(name), &target.host) {
        (Err(_malformed), _) => false,
        (Ok(host @ Host::Name(_)), Host::Ip(_)) => context.policy().decide(&host, target.port).allowed,
        (Ok(host), own) => host == *own,
    }
}

fn refuse(context: &ProxyContext, target: &Target, name: Option<&str>) -> Stopped {
    let attempt = Attempt { kind: Kind::NetTls, operation: "tls-hello", seen: Seen::Proxy };
    let reason = match name {
        Some(name) => format!("TLS server name {name:.253} is not the tunnel's host"),
        None => "the TLS ClientHello cannot be read".to_owned(),
    };
    attempt.refuse_builtin(context, &target.to_string(), "tls", &reason);
    Stopped::Refused
}

/// Appends what is there, up to the bound of a hello.
async fn read_more(client: &Peer, bytes: &mut Vec<u8>) -> Result<usize, Stopped> {
    let before = bytes.len();
    bytes.resize(before + READ, 0);
    let read = client.stream.read_some(&mut bytes[before..]).await.map_err(|_reset| Stopped::Gone)?;
    bytes.truncate(before + read);
    Ok(read)
}

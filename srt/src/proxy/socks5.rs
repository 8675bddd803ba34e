//! SOCKS5 (RFC 1928), CONNECT only, with or without username and password (RFC 1929).
//!
//! Every field comes from inside the sandbox. Lengths are single bytes, so nothing here can grow; what does not parse ends the connection.
//! Credentials are read and forgotten, unless the proxy serves holders of a token only. There is no room for a reason in a reply: the event says it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::time::timeout;

use super::denial::{Attempt, Seen};
use super::dial::DialError;
use super::stream::{Peer, Stream};
use super::{ProxyContext, limits, route, tunnel};
use crate::policy::{Host, Target};
use crate::violation::Kind;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USERNAME_PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;

const ATTEMPT: Attempt<'static> = Attempt { kind: Kind::NetConnect, operation: "socks-connect", seen: Seen::Proxy };

/// The reply field, RFC 1928 section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Reply {
    Succeeded = 0,
    GeneralFailure = 1,
    NotAllowed = 2,
    NetworkUnreachable = 3,
    HostUnreachable = 4,
    ConnectionRefused = 5,
    CommandNotSupported = 7,
    AddressTypeNotSupported = 8,
}

/// Why there is no request.
enum Unusable {
    /// The client broke the protocol or went away.
    Broken,
    /// There is an answer to it.
    Answer(Reply),
}

impl From<io::Error> for Unusable {
    fn from(_error: io::Error) -> Self {
        Unusable::Broken
    }
}

/// Serves one client whose first byte is the version.
pub(super) async fn serve(context: &ProxyContext, client: Stream) {
    let request = timeout(limits::HANDSHAKE, read_request(context, &client)).await.unwrap_or(Err(Unusable::Broken));
    let opened = match request {
        Ok(target) => open(context, target).await,
        Err(Unusable::Answer(reply)) => Err(reply),
        Err(Unusable::Broken) => return,
    };
    match opened {
        Ok((target, upstream)) if answer(&client, Reply::Succeeded).await.is_ok() => {
            tunnel::run(context, Peer::from(client), upstream, &target).await;
        }
        Ok(_client_is_gone) => {}
        Err(reply) => refuse(&client, reply).await,
    }
}

async fn open(context: &ProxyContext, target: Target) -> Result<(Target, Peer), Reply> {
    context.judge(ATTEMPT, &target).await.map_err(|_denial| Reply::NotAllowed)?;
    match route::open_tunnel(context, &target).await {
        Ok(upstream) => Ok((target, upstream)),
        Err(error) => Err(failure(context, &target, &error)),
    }
}

fn failure(context: &ProxyContext, target: &Target, error: &DialError) -> Reply {
    match error {
        DialError::Refused(class) => {
            ATTEMPT.refuse_address(context, target, *class);
            Reply::NotAllowed
        }
        DialError::Unresolved | DialError::TimedOut => Reply::HostUnreachable,
        DialError::Connect(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Reply::ConnectionRefused,
            io::ErrorKind::NetworkUnreachable => Reply::NetworkUnreachable,
            io::ErrorKind::HostUnreachable | io::ErrorKind::TimedOut => Reply::HostUnreachable,
            _ => Reply::GeneralFailure,
        },
        DialError::Parent(_) => Reply::GeneralFailure,
    }
}

/// Greeting, authentication, request.
async fn read_request(context: &ProxyContext, client: &Stream) -> Result<Target, Unusable> {
    authenticate(context, client).await?;
    let [version, command, _reserved, address_type] = read(client).await?;
    if version != VERSION {
        return Err(Unusable::Broken);
    }
    // The address is read before the command is judged: unread bytes would turn the answer into a reset.
    let host = read_host(client, address_type).await?;
    let port = u16::from_be_bytes(read(client).await?);
    if command != CONNECT {
        return Err(Unusable::Answer(Reply::CommandNotSupported));
    }
    match host {
        Ok(host) if port != 0 => Ok(Target { host, port }),
        Ok(_) => Err(Unusable::Answer(Reply::GeneralFailure)),
        Err(text) => {
            ATTEMPT.refuse_builtin(context, &format!("{text}:{port}"), "malformed", "malformed host");
            Err(Unusable::Answer(Reply::NotAllowed))
        }
    }
}

async fn authenticate(context: &ProxyContext, client: &Stream) -> Result<(), Unusable> {
    let [version, count] = read(client).await?;
    let methods = read_counted(client, count).await?;
    let served: &[u8] = if context.token.is_some() { &[USERNAME_PASSWORD] } else { &[NO_AUTHENTICATION, USERNAME_PASSWORD] };
    let chosen = served.iter().copied().find(|method| methods.contains(method));
    client.write_everything(&[version, chosen.unwrap_or(NO_ACCEPTABLE_METHOD)]).await?;
    match chosen {
        Some(NO_AUTHENTICATION) => Ok(()),
        Some(_) => check_password(context, client).await,
        None => Err(Unusable::Broken),
    }
}

/// Without a token, any will do.
async fn check_password(context: &ProxyContext, client: &Stream) -> Result<(), Unusable> {
    let [version, count] = read(client).await?;
    let user = read_counted(client, count).await?;
    let [count] = read(client).await?;
    let password = read_counted(client, count).await?;
    let right = context.token.as_ref().is_none_or(|token| token.is(&user, &password));
    client.write_everything(&[version, u8::from(!right)]).await?;
    if right { Ok(()) } else { Err(Unusable::Broken) }
}

/// The host; the inner error holds the text of a name that is none.
async fn read_host(client: &Stream, address_type: u8) -> Result<Result<Host, String>, Unusable> {
    match address_type {
        1 => Ok(Ok(IpAddr::V4(Ipv4Addr::from(read::<4>(client).await?)).into())),
        4 => Ok(Ok(IpAddr::V6(Ipv6Addr::from(read::<16>(client).await?)).into())),
        3 => {
            let [count] = read(client).await?;
            let bytes = read_counted(client, count).await?;
            let text = String::from_utf8_lossy(&bytes);
            let usable = bytes.is_ascii().then(|| Host::parse(&text).ok()).flatten();
            Ok(usable.ok_or_else(|| text.into_owned()))
        }
        _ => Err(Unusable::Answer(Reply::AddressTypeNotSupported)),
    }
}

async fn read<const N: usize>(client: &Stream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_full(&mut bytes).await?;
    Ok(bytes)
}

async fn read_counted(client: &Stream, count: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(count)];
    client.read_full(&mut bytes).await?;
    Ok(bytes)
}

/// The bound address is not told: it is an address of the host.
async fn answer(client: &Stream, reply: Reply) -> io::Result<()> {
    client.write_everything(&[VERSION, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

/// Answers, and reads away what the client had already sent: closing with unread bytes would send a reset that overtakes the answer.
async fn refuse(client: &Stream, reply: Reply) {
    if answer(client, reply).await.is_ok() && client.finish_writing().is_ok() {
        let mut unread = [0; 256];
        let drain = async {
            let mut budget = limits::CHUNK;
            while let Ok(read @ 1..) = client.read_some(&mut unread).await {
                budget = budget.saturating_sub(read);
                if budget == 0 {
                    break;
                }
            }
        };
        // One second is enough for a peer on the same machine.
        let _ = timeout(std::time::Duration::from_secs(1), drain).await;
    }
}

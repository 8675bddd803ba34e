//! Connecting to an allowed destination.
//!
//! A name is resolved once; each address is judged; one of the very addresses that passed is connected to. Between the check and the
//! connection no second lookup happens, so a name cannot change its mind.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;

use tokio::task::spawn_blocking;

use super::stream::Stream;
use super::{ProxyContext, happy_eyeballs};
use crate::policy::{AddressClass, Host, HostName, Target};

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum DialError {
    /// The name leads only to refused addresses; the class of the first one.
    Refused(AddressClass),
    /// The name could not be resolved.
    Unresolved,
    /// It took too long.
    TimedOut,
    /// The kernel could not connect.
    Connect(io::Error),
    /// The parent proxy did not let it through.
    Parent(String),
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        DialError::Connect(error)
    }
}

/// In words that tell the sandbox nothing about addresses of the host.
impl std::fmt::Display for DialError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DialError::Refused(class) => class.fmt(f),
            DialError::Unresolved => f.write_str("the name could not be resolved"),
            DialError::TimedOut => f.write_str("timed out"),
            DialError::Connect(error) => write!(f, "{}", error.kind()),
            DialError::Parent(cause) => write!(f, "the parent proxy {cause}"),
        }
    }
}

/// Resolves, judges and connects. The policy has already allowed `target`.
pub(super) async fn dial_checked(context: &ProxyContext, target: &Target) -> Result<Stream, DialError> {
    let addresses = match &target.host {
        Host::Ip(ip) => vec![*ip],
        Host::Name(name) => lookup(context, name, target.port).await?,
    };
    connect(judged(context, target, &addresses)?, target.port).await
}

/// The same without judging addresses: for a proxy that the user named in the settings.
pub(super) async fn dial_trusted(context: &ProxyContext, target: &Target) -> Result<Stream, DialError> {
    let addresses = match &target.host {
        Host::Ip(ip) => vec![*ip],
        Host::Name(name) => lookup(context, name, target.port).await?,
    };
    connect(addresses, target.port).await
}

async fn connect(addresses: Vec<IpAddr>, port: u16) -> Result<Stream, DialError> {
    let addresses: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    let stream = happy_eyeballs::connect(&addresses).await?;
    Ok(Stream::tcp(stream)?)
}

/// Lookups are few at once: getaddrinfo(3) blocks a thread each, and the sandbox chooses how many names it asks for. The permit goes with
/// the thread, which may outlast the time that the client is given.
async fn lookup(context: &ProxyContext, name: &HostName, port: u16) -> Result<Vec<IpAddr>, DialError> {
    let permit = context.lookups.clone().acquire_owned().await.map_err(|_closed| DialError::Unresolved)?;
    let name = name.clone();
    let resolve = move || {
        let _permit = permit;
        (name.as_str(), port).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect::<Vec<_>>())
    };
    match spawn_blocking(resolve).await {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        _ => Err(DialError::Unresolved),
    }
}

/// The addresses that may be dialled; an error where none is left.
fn judged(context: &ProxyContext, target: &Target, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, DialError> {
    let own = match target.host {
        Host::Name(_) => context.own_addresses()?,
        Host::Ip(_) => Rc::from([]),
    };
    let verdict = |ip: &IpAddr| context.policy.decide_address(&target.host, target.port, *ip, &own);
    let passed: Vec<_> = addresses.iter().copied().filter(|ip| verdict(ip).is_ok()).collect();
    match addresses.iter().find_map(|ip| verdict(ip).err()) {
        Some(class) if passed.is_empty() => Err(DialError::Refused(class)),
        _ => Ok(passed),
    }
}

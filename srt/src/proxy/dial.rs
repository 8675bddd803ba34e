//! Connecting to an allowed destination.
//!
//! A name is resolved once; each address is judged; one of the very addresses that passed is connected to. Between the check and the
//! connection no second lookup happens, so a name cannot change its mind.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
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
    let addresses = resolve(context, target).await?;
    connect(judged(context, target, &addresses)?, target.port).await
}

/// The same without judging addresses: for a proxy that the user named in the settings.
pub(super) async fn dial_trusted(context: &ProxyContext, target: &Target) -> Result<Stream, DialError> {
    connect(resolve(context, target).await?, target.port).await
}

/// `localhost` is not looked up (RFC 6761 section 6.3): it takes no thread, and no answer can lead it elsewhere. Names below it are, since
/// the host may have given them loopback addresses of their own.
async fn resolve(context: &ProxyContext, target: &Target) -> Result<Vec<IpAddr>, DialError> {
    match &target.host {
        Host::Ip(ip) => Ok(vec![*ip]),
        Host::Name(name) if name.as_str() == "localhost" => Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        Host::Name(name) => lookup(context, name, target.port).await,
    }
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
    let policy = context.policy();
    let verdict = |ip: &IpAddr| policy.decide_address(&target.host, target.port, *ip, &own);
    let passed: Vec<_> = addresses.iter().copied().filter(|ip| verdict(ip).is_ok()).collect();
    match addresses.iter().find_map(|ip| verdict(ip).err()) {
        Some(class) if passed.is_empty() => Err(DialError::Refused(class)),
        _ => Ok(passed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::net_policy;
    use crate::violation::EventSink;

    fn dialled(host: &str, addresses: &[&str]) -> Result<Vec<IpAddr>, String> {
        let context = ProxyContext::new(net_policy(&["*.example.com", "127.0.0.1:9"], &[]), EventSink::default());
        let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        judged(&context, &Target::parse(host).unwrap(), &addresses).map_err(|error| error.to_string())
    }

    #[test]
    fn only_addresses_that_pass_are_dialled() {
        let passed = dialled("a.example.com:443", &["127.0.0.1", "192.0.2.1", "::1", "64:ff9b::a9fe:a9fe"]).unwrap();
        assert_eq!(passed, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn where_none_passes_the_first_class_is_the_reason() {
        let refused = |address: &str| dialled("a.example.com:443", &[address, "0.0.0.0"]);
        assert_eq!(refused("::ffff:127.0.0.1"), Err("resolved to a loopback address".into()));
        assert_eq!(refused("169.254.169.254"), Err("resolved to a link-local address".into()));
    }

    #[test]
    fn addresses_of_this_machine_are_refused_by_asking_the_kernel() {
        for own in super::super::interfaces::own_addresses().unwrap() {
            assert!(dialled("a.example.com:443", &[&own.to_string()]).is_err(), "{own}");
        }
    }

    #[test]
    fn an_allowed_literal_is_an_exemption_on_its_port_only() {
        assert!(dialled("a.example.com:9", &["127.0.0.1"]).is_ok());
        assert!(dialled("a.example.com:10", &["127.0.0.1"]).is_err());
    }
    #[test]
    fn localhost_is_the_one_name_that_is_not_looked_up() {
        let context = ProxyContext::new(net_policy(&["localhost"], &[]), EventSink::default());
        context.lookups.close();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let resolved = |target: &str| runtime.block_on(resolve(&context, &Target::parse(target).unwrap())).ok();
        assert_eq!(resolved("LOCALHOST.:80"), Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]));
        assert_eq!(resolved("a.localhost:80"), None);
    }

    #[test]
    fn addresses_of_localhost_are_judged_like_any_other() {
        let context = ProxyContext::new(net_policy(&["localhost"], &["127.0.0.1"]), EventSink::default());
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let passed = judged(&context, &Target::parse("localhost:80").unwrap(), &loopback).unwrap();
        assert_eq!(passed, [IpAddr::from(Ipv6Addr::LOCALHOST)]);
    }
}

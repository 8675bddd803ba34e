//! What an address of the sandbox stands for.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use super::Ground;
use crate::plan::{OWN_ADDRESSES, PROXY_PORT};
use crate::policy::{Host, NetPolicy, Target};
use crate::proxy::names::{Lease, Names};

/// Where a connection leads.
#[derive(Debug)]
pub(super) enum Destination {
    /// The sandbox itself.
    Own,
    /// The proxy, at its port of the loopback.
    Proxy,
    /// `allowHostPorts`: the host's loopback.
    HostLoopback(SocketAddr),
    /// A host; the lease keeps its name while the connection lives.
    Host(Target, Option<Lease>),
}

/// Reads an address as the kernel would: 0.0.0.0 and `::` are the loopback (Linux, all versions), IPv4 inside IPv6 is IPv4.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

pub(super) fn destination(address: SocketAddr, policy: &NetPolicy, names: &Rc<RefCell<Names>>, ground: Ground) -> Destination {
    let (ip, port) = (canonical(address.ip()), address.port());
    if ground == Ground::Host && ip == Ipv4Addr::LOCALHOST && port == PROXY_PORT {
        return Destination::Proxy;
    }
    if ip.is_loopback() {
        let first = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].contains(&ip);
        let open = first && policy.allow_host_ports.iter().any(|own| own.value == port);
        return if open { Destination::HostLoopback(SocketAddr::new(ip, port)) } else { Destination::Own };
    }
    if ip == OWN_ADDRESSES.0 || ip == OWN_ADDRESSES.1 {
        return Destination::Own;
    }
    let lease = Lease::take(names, ip);
    let host = lease.as_ref().map_or_else(|| Host::from(ip), |lease| Host::Name(lease.name().clone()));
    Destination::Host(Target { host, port }, lease)
}

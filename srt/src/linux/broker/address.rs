//! Socket addresses as the kernel takes them. Pure.
//!
//! See ip(7), ipv6(7), unix(7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What an address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// IPv4 or IPv6.
    Inet(SocketAddr),
    /// A UNIX socket with a path, which is not empty.
    Path(Vec<u8>),
    /// Anything else: no family, abstract or unnamed UNIX sockets, netlink, what is too short. None of these leads out of the sandbox's own namespaces.
    Other,
}

/// Longest address that the kernel copies (`struct sockaddr_storage`).
pub(super) const MAX_LENGTH: u64 = 128;

impl Address {
    /// Takes an address apart.
    ///
    /// `AF_UNSPEC` means "no peer" to connect(2), but UDP's sendto(2) takes it for IPv4: `unspecified_is_inet`.
    pub(super) fn parse(bytes: &[u8], unspecified_is_inet: bool) -> Address {
        let Some((family, rest)) = bytes.split_first_chunk() else { return Address::Other };
        match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_INET => inet(rest),
            libc::AF_UNSPEC if unspecified_is_inet => inet(rest),
            libc::AF_INET6 => inet6(rest),
            libc::AF_UNIX => unix(rest),
            _ => Address::Other,
        }
    }
}

fn inet(rest: &[u8]) -> Address {
    match rest {
        [p, q, a, b, c, d, _, _, _, _, _, _, _, _, ..] => {
            Address::Inet(SocketAddr::new(Ipv4Addr::new(*a, *b, *c, *d).into(), u16::from_be_bytes([*p, *q])))
        }
        _ => Address::Other,
    }
}

/// Port, flow, address; the scope may be missing (RFC 2133).
fn inet6(rest: &[u8]) -> Address {
    let port = rest.first_chunk().map(|port| u16::from_be_bytes(*port));
    let address = rest.get(6..22).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    match port.zip(address) {
        // IPv4 in IPv6 is IPv4 to the kernel too.
        Some((port, address)) => Address::Inet(SocketAddr::new(IpAddr::from(Ipv6Addr::from(address)).to_canonical(), port)),
        None => Address::Other,
    }
}

fn unix(rest: &[u8]) -> Address {
    let path = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    if path.is_empty() { Address::Other } else { Address::Path(path.to_vec()) }
}

/// Is it the sandbox's own loopback? An unspecified address means this machine to the kernel.
pub(super) fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

/// The same address with another port.
pub(super) fn with_port(bytes: &[u8], port: u16) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(place) = bytes.get_mut(2..4) {
        place.copy_from_slice(&port.to_be_bytes());
    }
    bytes
}

/// `struct sockaddr_un` for a path of at most 107 bytes.
pub(super) fn unix_address(path: &[u8]) -> Vec<u8> {
    let family = (libc::AF_UNIX as u16).to_ne_bytes();
    [&family, path, &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(family: i32, rest: &[u8]) -> Vec<u8> {
        [&(family as u16).to_ne_bytes()[..], rest].concat()
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4() {
        let mut bytes = v4(libc::AF_INET6, &[0, 80, 0, 0, 0, 0]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]);
        assert_eq!(Address::parse(&bytes, false), Address::Inet("127.0.0.1:80".parse().unwrap()));
    }

    #[test]
    fn short_addresses_are_the_kernels_to_refuse() {
        for length in 0..16 {
            let bytes = &v4(libc::AF_INET, &[0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0])[..length];
            assert_eq!(Address::parse(bytes, false), Address::Other);
        }
    }

    #[test]
    fn a_path_ends_at_its_nul_and_an_abstract_name_is_none() {
        assert_eq!(Address::parse(&v4(libc::AF_UNIX, b"/run/x\0garbage"), false), Address::Path(b"/run/x".to_vec()));
        assert_eq!(Address::parse(&v4(libc::AF_UNIX, b"/run/x"), false), Address::Path(b"/run/x".to_vec()));
        assert_eq!(Address::parse(&v4(libc::AF_UNIX, b"\0name"), false), Address::Other);
        assert_eq!(Address::parse(&v4(libc::AF_UNIX, b""), false), Address::Other);
    }

    #[test]
    fn no_family_is_ipv4_for_datagrams_only() {
        let bytes = v4(libc::AF_UNSPEC, &[0, 53, 8, 8, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Address::parse(&bytes, true), Address::Inet("8.8.8.8:53".parse().unwrap()));
        assert_eq!(Address::parse(&bytes, false), Address::Other);
    }

    #[test]
    fn a_port_is_replaced_in_place() {
        let bytes = v4(libc::AF_INET, &[0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Address::parse(&with_port(&bytes, 443), false), Address::Inet("1.2.3.4:443".parse().unwrap()));
    }
}

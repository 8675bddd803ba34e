//! Addresses that an allowed *name* must not lead to.
//!
//! Whoever controls the DNS of an allowed name could point it at this machine's own services or at the cloud's metadata server. So a
//! name is resolved once, each address is judged here, and exactly the address that passed is dialled.
//!
//! An IPv6 address may carry an IPv4 address that a kernel or gateway unpacks again; each such reading is judged as well.
//!
//! Sources: RFC 6890 (special registries), RFC 4291 2.5.5 (mapped, compatible), RFC 2765 (translated), RFC 6052 and 8215 (NAT64),
//! RFC 3056 (6to4), the metadata pages of the cloud vendors.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

/// Why an address is refused. Shown without the address itself: the sandbox need not learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// 127.0.0.0/8, ::1.
    Loopback,
    /// 0.0.0.0/8, ::; the kernel connects these to this machine.
    Unspecified,
    /// 169.254.0.0/16, fe80::/10; holds most metadata servers.
    LinkLocal,
    /// 224.0.0.0/4, ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// A cloud's metadata server outside the link-local blocks.
    Metadata,
    /// An address of this machine's own interfaces.
    OwnInterface,
    /// `localhost` resolved to something that is not loopback.
    NotLoopback,
    /// A literal was asked for, and this is another address.
    OtherAddress,
    /// An address that `deniedDomains` names; the number is its place in [`super::NetPolicy::deny_rules`].
    DeniedLiteral(usize),
    /// An address within `deniedResolvedAddresses`; the number is its place in [`super::NetPolicy::address_rules`].
    DeniedBlock(usize),
}

impl AddressClass {
    /// Last part of the rule id: `net.address.loopback`.
    pub(super) fn slug(self) -> &'static str {
        match self {
            AddressClass::Loopback => "loopback",
            AddressClass::Unspecified => "unspecified",
            AddressClass::LinkLocal => "link-local",
            AddressClass::Multicast => "multicast",
            AddressClass::Broadcast => "broadcast",
            AddressClass::Metadata => "metadata",
            AddressClass::OwnInterface => "own-interface",
            AddressClass::NotLoopback => "localhost",
            AddressClass::OtherAddress => "literal",
            AddressClass::DeniedLiteral(_) | AddressClass::DeniedBlock(_) => "denied",
        }
    }
}

/// The reason as events give it: `resolved to a loopback address`.
impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressClass::Loopback => "resolved to a loopback address",
            AddressClass::Unspecified => "resolved to an unspecified address",
            AddressClass::LinkLocal => "resolved to a link-local address",
            AddressClass::Multicast => "resolved to a multicast address",
            AddressClass::Broadcast => "resolved to the broadcast address",
            AddressClass::Metadata => "resolved to a cloud metadata address",
            AddressClass::OwnInterface => "resolved to an address of this machine",
            AddressClass::NotLoopback => "localhost resolved to an address that is not loopback",
            AddressClass::OtherAddress => "is not the address that was asked for",
            AddressClass::DeniedLiteral(_) => "resolved to an address on the deny list",
            AddressClass::DeniedBlock(_) => "resolved to an address in deniedResolvedAddresses",
        })
    }
}

/// Metadata servers that are not link-local, by cloud.
const METADATA: &[(IpNet, &str)] = &[
    (v4_host([100, 100, 100, 200]), "Alibaba Cloud"),
    (v4_host([168, 63, 129, 16]), "Azure WireServer"),
    (v4_host([192, 0, 0, 192]), "Oracle Cloud"),
    (v6_block([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), "Amazon EC2"),
    (v6_block([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), "Google Compute Engine"),
    (v6_block([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), "Oracle Cloud"),
    (v6_block([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128), "Scaleway"),
    (v6_block([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1], 128), "169.254.169.254 spelt as ULA"),
    (v6_block([0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200], 128), "Alibaba Cloud"),
];

const fn v4_host(octets: [u8; 4]) -> IpNet {
    IpNet::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]), 32))
}

const fn v6_block(s: [u16; 8], prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]), prefix))
}

/// The built-in class of one address, without looking for an IPv4 address inside.
pub(super) fn builtin_class(address: IpAddr) -> Option<AddressClass> {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let this_network = matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 0) || address.is_unspecified();
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    let metadata = METADATA.iter().any(|(block, _cloud)| block.contains(&address));
    [
        (address.is_loopback(), AddressClass::Loopback),
        (this_network, AddressClass::Unspecified),
        (link_local, AddressClass::LinkLocal),
        (address.is_multicast(), AddressClass::Multicast),
        (broadcast, AddressClass::Broadcast),
        (metadata, AddressClass::Metadata),
    ]
    .into_iter()
    .find_map(|(is, class)| is.then_some(class))
}

/// The address itself, then each IPv4 address that it carries.
pub(super) fn readings(address: IpAddr) -> Vec<IpAddr> {
    let mut readings = vec![address.to_canonical()];
    if let IpAddr::V6(v6) = address {
        readings.extend(embedded_ipv4(v6).into_iter().map(IpAddr::V4));
    }
    readings
}

fn embedded_ipv4(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let octets = address.octets();
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| octets[place]));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => vec![],
        [0, 0, 0, 0, 0, 0xffff | 0, ..] => vec![at([12, 13, 14, 15])],
        [0, 0, 0, 0, 0xffff, 0, _, _] => vec![at([12, 13, 14, 15])],
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => vec![at([12, 13, 14, 15])],
        // A network may choose its NAT64 prefix in here, of any length of RFC 6052. Refusing what *could* be unpacked to a local
        // address costs nothing that a real network uses.
        [0x64, 0xff9b, 1, ..] => RFC6052_LAYOUTS
            .iter()
            .filter(|(places, suffix)| octets[*suffix..].iter().all(|byte| *byte == 0) && at(*places) != Ipv4Addr::UNSPECIFIED)
            .map(|(places, _)| at(*places))
            .collect(),
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        _ => vec![],
    }
}

/// Places of the IPv4 octets for the prefix lengths 48, 56, 64 and 96, and where the suffix of zeros begins (octet 8 is skipped).
const RFC6052_LAYOUTS: &[([usize; 4], usize)] = &[([6, 7, 9, 10], 11), ([7, 9, 10, 11], 12), ([9, 10, 11, 12], 13), ([12, 13, 14, 15], 16)];

/// An address or a block of addresses. Blocks with bits behind the prefix are refused: `10.0.0.1/8` says two things.
pub(super) fn parse_block(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let block: IpNet = text.parse().map_err(|_| "it is neither an address nor a block such as 10.0.0.0/8 or 2001:db8::/32".to_owned())?;
    if block.addr() != block.network() {
        return Err(format!(
            "it has bits set behind the prefix; write {} for the block or {} for the address",
            block.trunc(),
            block.addr()
        ));
    }
    match block {
        IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some() => {
            Err("addresses are compared as IPv4 where they are IPv4-mapped; write the IPv4 block".into())
        }
        _ => Ok(block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_block_has_its_class() {
        for (text, class) in [
            ("127.0.0.1", Some(AddressClass::Loopback)),
            ("127.255.255.254", Some(AddressClass::Loopback)),
            ("::1", Some(AddressClass::Loopback)),
            ("0.0.0.0", Some(AddressClass::Unspecified)),
            ("0.1.2.3", Some(AddressClass::Unspecified)),
            ("::", Some(AddressClass::Unspecified)),
            ("169.254.169.254", Some(AddressClass::LinkLocal)),
            ("fe80::1", Some(AddressClass::LinkLocal)),
            ("febf::1", Some(AddressClass::LinkLocal)),
            ("224.0.0.1", Some(AddressClass::Multicast)),
            ("ff02::1", Some(AddressClass::Multicast)),
            ("255.255.255.255", Some(AddressClass::Broadcast)),
            ("100.100.100.200", Some(AddressClass::Metadata)),
            ("168.63.129.16", Some(AddressClass::Metadata)),
            ("192.0.0.192", Some(AddressClass::Metadata)),
            ("fd00:ec2::254", Some(AddressClass::Metadata)),
            ("fd20:ce::254", Some(AddressClass::Metadata)),
            ("fd00:c1::a9fe:a9fe", Some(AddressClass::Metadata)),
            ("fd00:42::42", Some(AddressClass::Metadata)),
            ("fd00:a9fe:a9fe::1", Some(AddressClass::Metadata)),
            ("fd00:100::100:200", Some(AddressClass::Metadata)),
            ("10.0.0.1", None),
            ("192.168.1.1", None),
            ("100.64.0.1", None),
            ("fd12::1", None),
            ("fec0::1", None),
            ("93.184.216.34", None),
            ("2606:2800::1", None),
        ] {
            assert_eq!(builtin_class(text.parse().unwrap()), class, "{text}");
        }
    }

    #[test]
    fn ipv4_inside_ipv6_is_read_out() {
        for (text, inside) in [
            ("::ffff:127.0.0.1", Some("127.0.0.1")),
            ("::127.0.0.1", Some("127.0.0.1")),
            ("::ffff:0:127.0.0.1", Some("127.0.0.1")),
            ("64:ff9b::169.254.169.254", Some("169.254.169.254")),
            ("2002:7f00:1::1", Some("127.0.0.1")),
            ("64:ff9b:1:7f00:0:100::", Some("127.0.0.1")),
            ("64:ff9b:1:7f:0:1::", Some("127.0.0.1")),
            ("64:ff9b:1:0:7f:0:100:0", Some("127.0.0.1")),
            ("64:ff9b:1::7f00:1", Some("127.0.0.1")),
            ("2001:db8::7f00:1", None),
            ("::", None),
            ("::1", None),
        ] {
            let found = readings(text.parse().unwrap());
            match inside {
                Some(inside) => assert!(found.contains(&inside.parse().unwrap()), "{text}: {found:?}"),
                None => assert_eq!(found.len(), 1, "{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn blocks_say_one_thing() {
        assert_eq!(parse_block("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(parse_block("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(parse_block("::ffff:10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        for bad in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "example.com", "[::1]", "::ffff:10.0.0.0/104", "10.0.0.0/"] {
            assert!(parse_block(bad).is_err(), "{bad}");
        }
    }
}

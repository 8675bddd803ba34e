//! Addresses written as names: `in-addr.arpa` and `ip6.arpa` (RFC 1035 section 3.5, RFC 3596 section 2.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a whole reverse name stands for.
pub(super) fn address(labels: &[&[u8]]) -> Option<IpAddr> {
    let (host, zone) = labels.split_at_checked(labels.len().checked_sub(2)?)?;
    let is = |name: &str| zone[0].eq_ignore_ascii_case(name.as_bytes()) && zone[1].eq_ignore_ascii_case(b"arpa");
    match () {
        () if is("in-addr") => v4(host).map(IpAddr::V4),
        () if is("ip6") => v6(host).map(IpAddr::V6),
        () => None,
    }
}

fn v4(labels: &[&[u8]]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    if labels.len() != octets.len() {
        return None;
    }
    for (octet, label) in octets.iter_mut().rev().zip(labels) {
        *octet = std::str::from_utf8(label).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    }
    Some(octets.into())
}

fn v6(labels: &[&[u8]]) -> Option<Ipv6Addr> {
    if labels.len() != 32 {
        return None;
    }
    let digit = |label: &&[u8]| match label {
        [digit] => char::from(*digit).to_digit(16),
        _ => None,
    };
    let number = labels.iter().rev().try_fold(0u128, |number, label| Some(number << 4 | u128::from(digit(label)?)))?;
    Some(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Option<String> {
        address(&name.split('.').map(str::as_bytes).collect::<Vec<_>>()).map(|address| address.to_string())
    }

    #[test]
    fn reverse_names_are_addresses() {
        assert_eq!(read("4.3.2.1.in-addr.arpa").as_deref(), Some("1.2.3.4"));
        assert_eq!(read("1.0.0.127.IN-ADDR.ARPA").as_deref(), Some("127.0.0.1"));
        let name = format!("1.{}d.f.ip6.arpa", "0.".repeat(29));
        assert_eq!(read(&name).as_deref(), Some("fd00::1"));
    }

    #[test]
    fn other_names_are_none() {
        for name in [
            "arpa",
            "in-addr.arpa",
            "1.in-addr.arpa",
            "256.3.2.1.in-addr.arpa",
            "+1.3.2.1.in-addr.arpa",
            "4.3.2.1.in-addr.com",
            "x.ip6.arpa",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
        assert_eq!(address(&[]), None);
    }
}

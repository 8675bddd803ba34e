//! Hosts, entries about them, and verdicts: one destination gets one verdict, however it is spelled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::policy::testing::network_settings;
use crate::policy::{DomainList, DomainPattern, Host, HostName, NetPolicy, ParentProxy, Target};

/// Ports that the entries of most seeds name, and one that none does.
const PORTS: [u16; 4] = [443, 80, 22, 61_234];

/// Lines: the host; then entries, `+` allows, `-` denies, `=` is an entry of `NO_PROXY`.
pub(crate) fn domains(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n').take(40);
    let host = lines.next().unwrap_or_default();
    let lines: Vec<&str> = lines.collect();
    let entries = |mark: char| lines.iter().filter_map(|line| line.strip_prefix(mark)).collect::<Vec<_>>();
    let (allow, deny) = (valid(&entries('+'), DomainList::Allow), valid(&entries('-'), DomainList::Deny));
    let parents = ParentProxy::from_environment(Some("http://proxy.example:1"), None, Some(&entries('=').join(","))).ok().flatten();
    let policy = NetPolicy::build(&network_settings(&allow, &deny)).expect("valid entries make a policy");
    let _no_panic = Target::parse(host);
    let Ok(host) = Host::parse(host) else { return };
    is_canonical(&host);
    verdicts_are_as_defined(&policy, &host, &allow, &deny);
    for spelled in spellings(&host) {
        let Ok(same) = Host::parse(&spelled) else {
            assert!(spelled.len() > 255, "{spelled:?} names {host}");
            continue;
        };
        assert_eq!(same, host, "{spelled:?}");
        for port in PORTS {
            assert_eq!(policy.decide(&same, port), policy.decide(&host, port), "{spelled:?}");
        }
    }
    match &host {
        Host::Name(name) => {
            names_resolve_where_some_port_is_allowed(&policy, name);
            disguised_addresses_are_refused(&policy, &host);
        }
        Host::Ip(address) => assert_eq!(policy.decide_address(&host, 443, *address, &[]), Ok(())),
    }
    if let Some(parents) = parents {
        let past = |host: &Host| parents.for_request(host, 443).is_none();
        assert!(spellings(&host).iter().filter_map(|text| Host::parse(text).ok()).all(|same| past(&same) == past(&host)));
    }
}

/// What is left has one meaning: its canonical spelling is an entry again, and the same.
fn valid<'a>(entries: &[&'a str], list: DomainList) -> Vec<&'a str> {
    let is_valid = |entry: &&&str| {
        let Ok(pattern) = DomainPattern::parse(entry, list) else { return false };
        assert_eq!(DomainPattern::parse(&pattern.to_string(), list).as_ref(), Ok(&pattern), "{entry:?}");
        true
    };
    entries.iter().filter(is_valid).copied().collect()
}

fn is_canonical(host: &Host) {
    let text = host.to_string();
    assert_eq!(Host::parse(&text).as_ref(), Ok(host));
    let target = Target { host: host.clone(), port: 443 };
    assert_eq!(Target::parse(&target.to_string()), Ok(target));
    match host {
        Host::Name(name) => {
            let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
            assert!(name.as_str().bytes().all(legal) && (1..=253).contains(&text.len()), "{text:?}");
            assert!(name.as_str().split('.').all(|label| (1..=63).contains(&label.len())), "{text:?}");
            assert!(text.parse::<IpAddr>().is_err());
        }
        Host::Ip(address) => assert_eq!(*address, address.to_canonical()),
    }
}

/// Other ways to write the same host.
fn spellings(host: &Host) -> Vec<String> {
    let text = host.to_string();
    let wide = |letter: char| match letter {
        '0'..='9' | 'a'..='z' => char::from_u32(u32::from(letter) - 0x21 + 0xff01).unwrap_or(letter),
        '.' => '\u{3002}',
        other => other,
    };
    match host {
        Host::Name(_) => vec![text.to_uppercase(), format!("{text}."), text.chars().map(wide).collect()],
        Host::Ip(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            let number = u32::from(*address);
            vec![
                format!("{text}."),
                text.chars().map(wide).collect(),
                number.to_string(),
                format!("{number:#x}"),
                format!("0{number:o}"),
                format!("{a:#X}.0{b:o}.{c}.{d:#x}"),
                format!("{a}.{}", number & 0xff_ffff),
                format!("{a}.{b}.{}", number & 0xffff),
                format!("::ffff:{text}"),
                format!("[::FFFF:{:x}:{:x}]", number >> 16, number & 0xffff),
            ]
        }
        Host::Ip(IpAddr::V6(address)) => {
            let groups = address.segments().map(|group| format!("{group:04X}")).join(":");
            vec![format!("[{groups}]"), groups, address.to_string()]
        }
    }
}

/// The grammar of entries, read off their canonical spelling.
fn covers(pattern: &DomainPattern, host: &Host, port: u16) -> bool {
    let pattern = pattern.to_string();
    let (entry, own) = match pattern.rsplit_once(':') {
        Some((entry, own)) if !own.ends_with(']') => (entry, Some(own)),
        _ => (pattern.as_str(), None),
    };
    let text = host.to_string();
    let is_host = match entry.strip_prefix('*') {
        Some("") => true,
        Some(base) => host.name().is_some() && text.len() > base.len() && text.ends_with(base),
        None => text == entry,
    };
    is_host && own.is_none_or(|own| own == port.to_string())
}

fn verdicts_are_as_defined(policy: &NetPolicy, host: &Host, allow: &[&str], deny: &[&str]) {
    let any = |entries: &[&str], list, port| {
        entries.iter().any(|entry| DomainPattern::parse(entry, list).is_ok_and(|pattern| covers(&pattern, host, port)))
    };
    for port in PORTS {
        let expected = any(allow, DomainList::Allow, port) && !any(deny, DomainList::Deny, port);
        assert_eq!(policy.decide(host, port).allowed, expected, "{host}:{port} with {allow:?} and not {deny:?}");
    }
}

fn names_resolve_where_some_port_is_allowed(policy: &NetPolicy, name: &HostName) {
    let host = Host::Name(name.clone());
    // What holds at a port that no entry names holds at all of those.
    let rules = policy.allow_rules().iter().chain(policy.deny_rules());
    let mut ports: Vec<u16> = rules.filter_map(|rule| rule.pattern.port()).collect();
    ports.extend((1..=u16::MAX).find(|port| !ports.contains(port)));
    let some_port = ports.into_iter().any(|port| policy.decide(&host, port).allowed);
    assert_eq!(policy.may_resolve(name).allowed, some_port, "{name}");
}

/// What an address may not be reached by, it may not be reached by inside an IPv6 address that a kernel or gateway unpacks.
fn disguised_addresses_are_refused(policy: &NetPolicy, host: &Host) {
    let addresses = ["127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "100.100.100.200", "192.0.2.7"];
    for inner in addresses.map(|text| text.parse::<Ipv4Addr>().expect("an address")) {
        let refused = policy.decide_address(host, 443, inner.into(), &["192.0.2.7".parse().expect("an address")]).is_err();
        // The gateway's own prefix with nothing behind it is no disguise.
        let is_empty = |outer: &Ipv6Addr| inner.is_unspecified() && outer.segments()[..3] == [0x64, 0xff9b, 1];
        for outer in disguises(inner).into_iter().filter(|outer| !is_empty(outer)).map(IpAddr::from) {
            let is_named = policy.allow_rules().iter().any(|rule| rule.pattern.names_address(outer, 443));
            let passes = policy.decide_address(host, 443, outer, &["192.0.2.7".parse().expect("an address")]).is_ok();
            assert!(!refused || is_named || !passes, "{host} at {outer}");
        }
    }
}

fn disguises(inner: Ipv4Addr) -> [Ipv6Addr; 5] {
    let [a, b, c, d] = inner.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    [
        inner.to_ipv6_mapped(),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
    ]
}

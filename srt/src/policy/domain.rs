//! Entries of `allowedDomains` and `deniedDomains`.
//!
//! ```text
//! entry  = host [ ":" port ]
//! host   = "localhost" | name with a dot | "*." name with a dot | IPv4 | "[" IPv6 "]"
//! deniedDomains also takes "*" and "*:port"
//! ```
//!
//! Entries go through the same canonical form as destinations, so an entry that parses can match: `bücher.de` in a deny list would
//! otherwise stand there and deny nothing.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::host::{Host, HostName, bracketed, parse_port};

/// Longest DNS name, in characters.
const MAX_NAME: usize = 253;

/// Which list an entry stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainList {
    /// Entries that allow; they must name something.
    Allow,
    /// Entries that deny; they may also deny everything.
    Deny,
}

/// One validated entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainPattern {
    host: HostPattern,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    /// `*`: every name and every address.
    Any,
    /// One name or one address.
    Exact(Host),
    /// `*.base`: names below `base`, at any depth; never `base` itself and never an address.
    Below(HostName),
}

impl DomainPattern {
    /// Validates one entry. The error is the cause in words and lists the valid forms.
    pub fn parse(entry: &str, list: DomainList) -> Result<DomainPattern, String> {
        parse_entry(entry, list).map_err(|cause| format!("{cause}; {}", valid_forms(list)))
    }

    /// Does it cover this destination?
    pub fn matches(&self, host: &Host, port: u16) -> bool {
        self.port.is_none_or(|own| own == port) && self.matches_host(host)
    }

    /// Does it cover this host at every port?
    pub fn covers_every_port(&self, host: &Host) -> bool {
        self.port.is_none() && self.matches_host(host)
    }

    /// Does it cover this host at some port?
    pub(super) fn covers_host(&self, host: &Host) -> bool {
        self.matches_host(host)
    }

    /// The one port that it covers; `None`: every port.
    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    fn matches_host(&self, host: &Host) -> bool {
        match (&self.host, host) {
            (HostPattern::Any, _) => true,
            (HostPattern::Exact(Host::Ip(own)), Host::Ip(ip)) => own.to_canonical() == ip.to_canonical(),
            (HostPattern::Exact(own), _) => own == host,
            (HostPattern::Below(base), Host::Name(name)) => name.is_strictly_below(base),
            (HostPattern::Below(_), Host::Ip(_)) => false,
        }
    }

    /// Does it name exactly this address (and this port, or none)? `*` does not name an address.
    pub fn names_address(&self, address: IpAddr, port: u16) -> bool {
        matches!(self.host, HostPattern::Exact(Host::Ip(_))) && self.matches(&Host::from(address), port)
    }
}

/// The canonical spelling.
impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostPattern::Any => f.write_str("*")?,
            HostPattern::Exact(host) => host.fmt(f)?,
            HostPattern::Below(base) => write!(f, "*.{base}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn valid_forms(list: DomainList) -> &'static str {
    match list {
        DomainList::Allow => {
            "valid forms are example.com, *.example.com, localhost, 192.0.2.1 and [2001:db8::1], each with or without :port"
        }
        DomainList::Deny => {
            "valid forms are example.com, *.example.com, localhost, 192.0.2.1, [2001:db8::1] and *, each with or without :port"
        }
    }
}

fn parse_entry(entry: &str, list: DomainList) -> Result<DomainPattern, String> {
    refuse_foreign_syntax(entry)?;
    let (host, port) = split_port(entry)?;
    Ok(DomainPattern { host: parse_host(host, list)?, port })
}

/// Mistakes that deserve their own words, because the general message would not help.
fn refuse_foreign_syntax(entry: &str) -> Result<(), String> {
    if entry.is_empty() {
        return Err("the entry is empty".into());
    }
    if entry.contains("://") {
        return Err("it is a URL; write the host only".into());
    }
    if entry.contains('/') {
        return Err("it holds a slash; paths cannot be filtered, and address blocks belong in deniedResolvedAddresses".into());
    }
    if entry.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return Err("it holds a space or a control character".into());
    }
    if entry.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("an IPv6 address needs brackets: [{entry}]"));
    }
    Ok(())
}

/// Splits `host:port`. The brackets of an IPv6 address hide the colons inside.
fn split_port(entry: &str) -> Result<(&str, Option<u16>), String> {
    let host_end = entry.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some((before, port)) = entry[host_end..].split_once(':') else {
        return Ok((entry, None));
    };
    if port.starts_with('0') {
        return Err(format!("{port:?} is no port: ports are 1 to 65535 without leading zeros"));
    }
    match parse_port(port) {
        Some(number) => Ok((&entry[..host_end + before.len()], Some(number))),
        None => Err(format!("{port:?} is no port: ports are 1 to 65535")),
    }
}

fn parse_host(host: &str, list: DomainList) -> Result<HostPattern, String> {
    match host.strip_prefix("*.") {
        _ if host == "*" && list == DomainList::Deny => Ok(HostPattern::Any),
        _ if host == "*" => Err("it would allow every host".into()),
        Some(base) => parse_base(base).map(HostPattern::Below),
        None if host.contains('*') => Err("a star stands only in front, as a whole label: *.example.com".into()),
        None => parse_exact(host).map(HostPattern::Exact),
    }
}

fn parse_base(base: &str) -> Result<HostName, String> {
    if base.contains('*') {
        return Err("a star stands only in front, as a whole label: *.example.com".into());
    }
    refuse_outer_dots(base)?;
    let Host::Name(name) = canonical(base)? else {
        return Err("an address has no names below it".into());
    };
    if !name.as_str().contains('.') {
        return Err(format!("*.{name} is too broad: at least two labels must follow the star"));
    }
    if name.as_str().len() + "a.".len() > MAX_NAME {
        return Err("no name below it fits into the 253 characters of a DNS name, so it could never match".into());
    }
    Ok(name)
}

fn parse_exact(host: &str) -> Result<Host, String> {
    if let Some(inner) = bracketed(host) {
        return parse_ipv6(inner);
    }
    refuse_outer_dots(host)?;
    let parsed = canonical(host)?;
    match &parsed {
        Host::Ip(ip) if ip.to_string() != host => Err(format!("it is an unusual spelling of {ip}; write {ip}")),
        Host::Name(name) if !name.as_str().contains('.') && name.as_str() != "localhost" => {
            Err("it has no dot, so it is no domain name (localhost is the one exception)".into())
        }
        _ => Ok(parsed),
    }
}

/// An address with an optional zone, which is dropped: destinations carry none.
fn parse_ipv6(inner: &str) -> Result<Host, String> {
    let address = inner.split_once('%').map_or(inner, |(address, _zone)| address);
    address.parse::<Ipv6Addr>().map(Host::from).map_err(|_| format!("{inner:?} is no IPv6 address"))
}

fn refuse_outer_dots(host: &str) -> Result<(), String> {
    match host {
        _ if host.starts_with('.') => Err(format!("it starts with a dot; for the names below it write *{host}")),
        _ if host.ends_with('.') => Err("it ends with a dot; leave the dot out".into()),
        _ => Ok(()),
    }
}

fn canonical(host: &str) -> Result<Host, String> {
    Host::parse(host).map_err(|malformed| format!("{host:?} is a {malformed}, so it could never match"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(list: DomainList, entry: &str, target: &str) -> bool {
        let target = crate::policy::Target::parse(target).unwrap();
        DomainPattern::parse(entry, list).unwrap().matches(&target.host, target.port)
    }

    #[test]
    fn valid_entries_are_shown_in_canonical_form() {
        for (entry, shown) in [
            ("example.com", "example.com"),
            ("API.Example.com:443", "api.example.com:443"),
            ("*.example.com", "*.example.com"),
            ("*.co.uk", "*.co.uk"),
            ("*.github.io:443", "*.github.io:443"),
            ("localhost:3000", "localhost:3000"),
            ("LOCALHOST", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[2001:DB8:0::1]:443", "[2001:db8::1]:443"),
            ("[::ffff:10.0.0.1]", "10.0.0.1"),
            ("[fe80::1%eth0]", "[fe80::1]"),
            ("bücher.de", "xn--bcher-kva.de"),
            ("*.Bücher.de", "*.xn--bcher-kva.de"),
        ] {
            for list in [DomainList::Allow, DomainList::Deny] {
                assert_eq!(DomainPattern::parse(entry, list).unwrap().to_string(), shown);
            }
        }
        for entry in ["*", "*:22"] {
            assert_eq!(DomainPattern::parse(entry, DomainList::Deny).unwrap().to_string(), entry);
        }
    }

    #[test]
    fn invalid_entries_are_refused_in_both_lists() {
        for entry in [
            "",
            "*.com",
            "*.",
            "*..com",
            "*example.com",
            "a.*.com",
            "*.*.com",
            "**.example.com",
            "https://x.com",
            "x.com/path",
            "10.0.0.0/8",
            "not-a-domain",
            ".x.com",
            "x.com.",
            "*.x.com.",
            "::1",
            "2001:db8::1:443",
            "x.com:0",
            "x.com:080",
            "x.com:",
            "x.com:99999",
            "x.com:+1",
            "x.com:http",
            "evil.com:443.allowed.com",
            "a b.com",
            "a\0.com",
            "a.com\n",
            "x..com",
            "x.1",
            "*.1.2.3.4",
            "[::1",
            "[::1]x",
            "x[::1]",
            "[::1]:0",
            "[127.0.0.1]",
            "x%2e.com",
            "user@x.com",
            "*.localhost",
            "127.0.0.1.",
        ] {
            for list in [DomainList::Allow, DomainList::Deny] {
                let cause = DomainPattern::parse(entry, list).expect_err(entry);
                assert!(cause.contains("valid forms are example.com"), "{cause}");
            }
        }
        let long = format!("*.{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(60));
        assert!(DomainPattern::parse(&long, DomainList::Deny).unwrap_err().contains("never match"));
    }

    #[test]
    fn unusual_spellings_of_an_address_name_the_usual_one() {
        for entry in ["127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "127.0.0.01:80"] {
            let cause = DomainPattern::parse(entry, DomainList::Deny).unwrap_err();
            assert!(cause.contains("write 127.0.0.1;"), "{cause}");
        }
        assert!(DomainPattern::parse("010.0.0.1", DomainList::Allow).unwrap_err().contains("write 8.0.0.1;"));
    }

    #[test]
    fn a_star_alone_only_denies() {
        for entry in ["*", "*:443"] {
            assert!(DomainPattern::parse(entry, DomainList::Allow).unwrap_err().contains("every host"));
        }
        assert!(matches(DomainList::Deny, "*", "example.com:1"));
        assert!(matches(DomainList::Deny, "*", "[::1]:1"));
        assert!(!matches(DomainList::Deny, "*:22", "example.com:23"));
    }

    #[test]
    fn wildcards_match_names_below_at_any_depth_and_nothing_else() {
        for (target, expected) in [
            ("a.example.com:443", true),
            ("a.b.EXAMPLE.com.:443", true),
            ("example.com:443", false),
            ("notexample.com:443", false),
            ("example.com.evil.net:443", false),
            ("1.2.3.4:443", false),
        ] {
            assert_eq!(matches(DomainList::Allow, "*.example.com", target), expected, "{target}");
        }
    }

    #[test]
    fn exact_entries_match_every_spelling_of_the_destination() {
        assert!(matches(DomainList::Allow, "bücher.de", "XN--BCHER-KVA.de.:80"));
        assert!(matches(DomainList::Allow, "xn--bcher-kva.de", "Bücher.de:80"));
        assert!(matches(DomainList::Allow, "127.0.0.1", "0x7f.1:80"));
        assert!(matches(DomainList::Allow, "[::ffff:127.0.0.1]", "127.1:80"));
        assert!(!matches(DomainList::Allow, "example.com", "www.example.com:80"));
    }

    #[test]
    fn an_entry_with_a_port_covers_only_that_port() {
        assert!(matches(DomainList::Allow, "example.com:443", "example.com:443"));
        assert!(!matches(DomainList::Allow, "example.com:443", "example.com:444"));
        assert!(matches(DomainList::Allow, "example.com", "example.com:444"));
    }

    #[test]
    fn random_entries_never_panic_and_show_what_they_mean() {
        let alphabet: Vec<char> = "aZ0179x.-*:[]%/@ \0ü。１".chars().collect();
        let mut random = crate::policy::testing::Random::new(3);
        for _ in 0..50_000 {
            let entry: String = (0..random.below(14)).map(|_| alphabet[random.below(alphabet.len())]).collect();
            if let Ok(pattern) = DomainPattern::parse(&entry, DomainList::Deny) {
                assert_eq!(DomainPattern::parse(&pattern.to_string(), DomainList::Deny), Ok(pattern), "{entry:?}");
            }
        }
    }
}

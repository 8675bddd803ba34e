//! Destinations: host names and addresses in one canonical form.
//!
//! A rule is only as good as the comparison behind it. `EXAMPLE.com.`, `example.com` and `ｅxample.com` reach the same server, and so do
//! `127.0.0.1`, `127.1` and `0x7f000001`; each of them becomes one spelling here, before any rule is asked and before anything is dialled.
//!
//! The text comes from inside the sandbox and may hold any byte. What has no canonical form is [`MalformedHost`] and is denied.
//!
//! Sources: WHATWG URL standard, sections "host parsing" and "IPv4 parser"; UTS 46; RFC 1035 section 2.3.4 (lengths).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Longest text that is looked at: a DNS name has at most 253 characters, an IPv6 literal far fewer.
const MAX_TEXT: usize = 255;

/// A destination in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name.
    Name(HostName),
    /// An address; IPv4-mapped IPv6 addresses are held as IPv4 by [`Host::parse`] and [`Host::from`].
    Ip(IpAddr),
}

/// A DNS name: lower case, A-labels, no trailing dot, 1 to 253 characters of `a-z 0-9 - _ .`; never the spelling of an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(String);

/// The text names no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedHost;

impl fmt::Display for MalformedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed host")
    }
}

impl std::error::Error for MalformedHost {}

impl Host {
    /// Canonicalises `text`: a name, an IPv4 address in any spelling that `inet_aton` knows, or an IPv6 address with or without brackets.
    ///
    /// IPv6 zones are refused: they choose an interface of this machine, which is not for the sandbox to do.
    pub fn parse(text: &str) -> Result<Host, MalformedHost> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(MalformedHost);
        }
        match bracketed(text) {
            Some(inner) => inner.parse::<Ipv6Addr>().map(Host::from).map_err(|_| MalformedHost),
            None if text.contains(':') => text.parse::<Ipv6Addr>().map(Host::from).map_err(|_| MalformedHost),
            None => parse_name_or_ipv4(text),
        }
    }

    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Ip(ip) => Some(ip.to_canonical()),
            Host::Name(_) => None,
        }
    }

    /// The name, if it is one.
    pub fn name(&self) -> Option<&HostName> {
        match self {
            Host::Name(name) => Some(name),
            Host::Ip(_) => None,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Host::Ip(ip.to_canonical())
    }
}

impl From<Ipv6Addr> for Host {
    fn from(ip: Ipv6Addr) -> Self {
        Host::from(IpAddr::V6(ip))
    }
}

/// As in the host part of a URL: IPv6 addresses stand in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => name.fmt(f),
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is it below `base`, at any depth, and not `base` itself?
    pub fn is_strictly_below(&self, base: &HostName) -> bool {
        self.0.strip_suffix(base.as_str()).is_some_and(|rest| rest.ends_with('.'))
    }

    /// `localhost` and the names below it, which RFC 6761 section 6.3 reserves for loopback.
    pub fn is_localhost(&self) -> bool {
        self.0 == "localhost" || self.0.ends_with(".localhost")
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host and a port to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where.
    pub host: Host,
    /// Which port, from 1.
    pub port: u16,
}

impl Target {
    /// Reads `host:port`, the form of a CONNECT request. An IPv6 host needs its brackets here.
    pub fn parse(text: &str) -> Result<Target, MalformedHost> {
        let (host, port) = text.rsplit_once(':').ok_or(MalformedHost)?;
        if host.contains(':') && bracketed(host).is_none() {
            return Err(MalformedHost);
        }
        Ok(Target { host: Host::parse(host)?, port: parse_port(port).ok_or(MalformedHost)? })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A port from 1 in decimal digits; `str::parse` alone would take a sign.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// What stands between a leading `[` and a trailing `]`.
pub(super) fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// Mapping comes before everything else, because UTS 46 turns other characters into digits and dots: `１２７。１` is 127.0.0.1.
fn parse_name_or_ipv4(text: &str) -> Result<Host, MalformedHost> {
    let mapped = Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::VerifyAllowRootDot)
        .map_err(|_| MalformedHost)?;
    let name = mapped.strip_suffix('.').unwrap_or(&mapped);
    if !name.bytes().all(is_name_byte) || name.split('.').any(str::is_empty) {
        return Err(MalformedHost);
    }
    if ends_in_number(name) {
        return parse_ipv4(name).map(|ip| Host::Ip(IpAddr::V4(ip))).ok_or(MalformedHost);
    }
    Ok(Host::Name(HostName(name.to_ascii_lowercase())))
}

/// Letters, digits and hyphens (RFC 952), and the underscore that service names use.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// Must the whole be an IPv4 address? (WHATWG "ends in a number checker"; trailing dot already removed.)
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.bytes().all(|byte| byte.is_ascii_digit()) || ipv4_number(last).is_some()
}

/// One to four numbers, the last of which fills the bytes that remain (WHATWG "IPv4 parser").
fn parse_ipv4(name: &str) -> Option<Ipv4Addr> {
    let numbers: Vec<u64> = name.split('.').map(ipv4_number).collect::<Option<_>>()?;
    let (last, leading) = numbers.split_last()?;
    if leading.len() > 3 || leading.iter().any(|number| *number > 255) || *last >= 256_u64.pow(4 - leading.len() as u32) {
        return None;
    }
    let high = leading.iter().enumerate().fold(0, |sum, (place, number)| sum | number << (24 - 8 * place));
    u32::try_from(high | last).ok().map(Ipv4Addr::from_bits)
}

/// Decimal, `0x` hexadecimal or `0` octal; `0x` alone is zero.
fn ipv4_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    match digits {
        "" => (radix == 16).then_some(0),
        _ if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => None,
        _ => u64::from_str_radix(digits, radix).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Host::parse(text).ok().map(|host| host.to_string())
    }

    #[test]
    fn every_spelling_becomes_one() {
        for (text, expected) in [
            ("EXAMPLE.com", "example.com"),
            ("example.com.", "example.com"),
            ("bücher.de", "xn--bcher-kva.de"),
            ("BÜCHER.de", "xn--bcher-kva.de"),
            ("XN--bcher-KVA.de", "xn--bcher-kva.de"),
            ("ｅxample。com", "example.com"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("r3---sn-x.example.com", "r3---sn-x.example.com"),
            ("localhost", "localhost"),
            ("127.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("0X7F000001", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0177.0.0.01", "127.0.0.1"),
            ("１２７。１", "127.0.0.1"),
            ("1.2.65535", "1.2.255.255"),
            ("0x", "0.0.0.0"),
            ("4294967295", "255.255.255.255"),
            ("[::1]", "[::1]"),
            ("::1", "[::1]"),
            ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
            ("[::ffff:1.2.3.4]", "1.2.3.4"),
            ("::ffff:102:304", "1.2.3.4"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn text_without_canonical_form_is_malformed() {
        for text in [
            "",
            ".",
            "..",
            "example.com..",
            ".example.com",
            "a..b",
            "a b",
            "a\0b",
            "a\nb",
            "a\x7fb",
            "a%62",
            "a/b",
            "a@b",
            "a?b",
            "a#b",
            "a\\b",
            "a,b",
            "a*b",
            "a|b",
            "256.1.1.1",
            "1.2.3.4.5",
            "4294967296",
            "a.1",
            "a.0x1",
            "1..1",
            "1.2.3.08",
            "99999999999999999999999",
            "[::1",
            "::1]",
            "[]",
            "[127.0.0.1]",
            "[fe80::1%eth0]",
            "fe80::1%1",
            "xn--a",
            "xn--zz--.de",
            "\u{200b}",
            "\u{202e}a.de",
            "[::1]:80",
            "example.com:80",
        ] {
            assert_eq!(canonical(text), None, "{text:?}");
        }
        assert_eq!(canonical(&"a".repeat(64)), None, "a label has at most 63 characters");
        assert_eq!(canonical(&["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(63)].join(".")), None);
        assert_eq!(canonical(&"a.".repeat(200)), None);
    }

    #[test]
    fn targets_have_a_port_and_bracketed_ipv6() {
        let text = |text: &str| Target::parse(text).ok().map(|target| target.to_string());
        assert_eq!(text("Example.com:443").as_deref(), Some("example.com:443"));
        assert_eq!(text("[::1]:65535").as_deref(), Some("[::1]:65535"));
        for bad in [
            "example.com",
            "example.com:",
            "example.com:0",
            "example.com:99999",
            "example.com:+80",
            "::1:80",
            ":80",
            "a:80:80",
            "[::1]",
            "a:８０",
        ] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    #[test]
    fn containment_is_by_label() {
        let name = |text: &str| Host::parse(text).unwrap().name().unwrap().clone();
        assert!(name("a.b.example.com").is_strictly_below(&name("example.com")));
        assert!(!name("example.com").is_strictly_below(&name("example.com")));
        assert!(!name("evilexample.com").is_strictly_below(&name("example.com")));
        assert!(name("x.localhost").is_localhost() && name("localhost").is_localhost() && !name("notlocalhost").is_localhost());
    }

    #[test]
    fn canonical_form_is_a_fixed_point_and_nothing_panics() {
        let alphabet: Vec<char> = "aZ0179xX.-_:[]%*@ \0ü。１\u{202e}".chars().collect();
        let mut random = crate::policy::testing::Random::new(7);
        for _ in 0..50_000 {
            let text: String = (0..random.below(12)).map(|_| alphabet[random.below(alphabet.len())]).collect();
            if let Ok(host) = Host::parse(&text) {
                assert_eq!(Host::parse(&host.to_string()), Ok(host), "{text:?}");
            }
            let _ = Target::parse(&text);
        }
    }
}

//! The parent proxy: where allowed connections are sent instead of being dialled.
//!
//! `noProxy` follows Go's `golang.org/x/net/http/httpproxy`: comma-separated names (which cover the names below them), `.suffix` (only the
//! names below), addresses, CIDR blocks and `*`; each but a block may end with `:port`. Loopback never goes to a parent.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::host::{Host, HostName, Target, parse_port};
use crate::settings::ParentProxySettings;

/// How the parent is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentProtocol {
    /// HTTP/1.1: CONNECT for tunnels, absolute-form for plain requests.
    Http,
    /// SOCKS5; names are resolved by the parent.
    Socks5,
}

/// One parent: `http://[user:password@]host[:port]` or `socks5[h]://…`.
#[derive(Clone, PartialEq, Eq)]
pub struct ParentUrl {
    /// How it is spoken to.
    pub protocol: ParentProtocol,
    /// Where it listens, seen from the host. Not subject to the policy: the user named it.
    pub target: Target,
    /// User and password, percent-decoded.
    pub credentials: Option<(String, String)>,
}

/// Credentials are not shown: this type ends up in `--debug` output and `explain`.
impl fmt::Debug for ParentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ParentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            ParentProtocol::Http => "http",
            ParentProtocol::Socks5 => "socks5",
        };
        let credentials = if self.credentials.is_some() { "***@" } else { "" };
        write!(f, "{scheme}://{credentials}{}", self.target)
    }
}

/// The parents for plain requests and for tunnels, and what goes past them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentProxy {
    /// For plain HTTP requests.
    pub http: Option<ParentUrl>,
    /// For tunnels (CONNECT and SOCKS).
    pub https: Option<ParentUrl>,
    no_proxy: Vec<Bypass>,
}

/// One entry of `noProxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bypass {
    Everything,
    Block(IpNet),
    Address(IpAddr, Option<u16>),
    Name { name: HostName, only_below: bool, port: Option<u16> },
}

impl ParentProxy {
    /// Validates the settings; every cause is returned.
    pub fn parse(settings: &ParentProxySettings) -> Result<ParentProxy, Vec<String>> {
        Self::build(settings.http.as_deref(), settings.https.as_deref(), settings.no_proxy.as_deref())
    }

    /// The same from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the caller; `None` where neither proxy is set.
    pub fn from_environment(http: Option<&str>, https: Option<&str>, no_proxy: Option<&str>) -> Result<Option<ParentProxy>, Vec<String>> {
        let set = |value: Option<&str>| value.is_some_and(|text| !text.is_empty());
        if !set(http) && !set(https) {
            return Ok(None);
        }
        Self::build(http.filter(|text| !text.is_empty()), https.filter(|text| !text.is_empty()), no_proxy).map(Some)
    }

    fn build(http: Option<&str>, https: Option<&str>, no_proxy: Option<&str>) -> Result<ParentProxy, Vec<String>> {
        let mut causes = Vec::new();
        let mut url = |text: Option<&str>| text.and_then(|text| parse_url(text).map_err(|cause| causes.push(cause)).ok());
        let (http, https) = (url(http), url(https));
        let mut entries = Vec::new();
        for entry in no_proxy.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match parse_bypass(entry) {
                Some(bypass) => entries.push(bypass),
                None => causes.push(format!("{entry:?} in noProxy is no name, address, CIDR block or *")),
            }
        }
        if causes.is_empty() { Ok(ParentProxy { http, https, no_proxy: entries }) } else { Err(causes) }
    }

    /// The parent for a plain HTTP request to this destination.
    pub fn for_request(&self, host: &Host, port: u16) -> Option<&ParentUrl> {
        self.http.as_ref().filter(|_| !self.bypasses(host, port))
    }

    /// The parent for a tunnel to this destination.
    pub fn for_tunnel(&self, host: &Host, port: u16) -> Option<&ParentUrl> {
        self.https.as_ref().filter(|_| !self.bypasses(host, port))
    }

    /// Is this destination dialled directly?
    fn bypasses(&self, host: &Host, port: u16) -> bool {
        is_loopback(host) || self.no_proxy.iter().any(|entry| entry.covers(host, port))
    }
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(name) => name.is_localhost(),
        Host::Ip(ip) => ip.to_canonical().is_loopback(),
    }
}

impl Bypass {
    fn covers(&self, host: &Host, to_port: u16) -> bool {
        match (self, host) {
            (Bypass::Everything, _) => true,
            (Bypass::Block(block), Host::Ip(ip)) => block.contains(&ip.to_canonical()),
            (Bypass::Address(address, port), Host::Ip(ip)) => *address == ip.to_canonical() && port.is_none_or(|port| port == to_port),
            (Bypass::Name { name, only_below, port }, Host::Name(host)) => {
                port.is_none_or(|port| port == to_port) && (host.is_strictly_below(name) || (!only_below && host == name))
            }
            _ => false,
        }
    }
}

fn parse_bypass(entry: &str) -> Option<Bypass> {
    if entry == "*" {
        return Some(Bypass::Everything);
    }
    if let Ok(block) = entry.parse::<IpNet>() {
        return Some(Bypass::Block(block.trunc()));
    }
    if let Ok(host @ Host::Ip(ip)) = Host::parse(entry) {
        return host.ip().map(|_| Bypass::Address(ip, None));
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (entry, None),
    };
    let suffix = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
    match Host::parse(suffix.unwrap_or(host)).ok()? {
        Host::Name(name) => Some(Bypass::Name { name, only_below: suffix.is_some(), port }),
        Host::Ip(ip) if suffix.is_none() => Some(Bypass::Address(ip, port)),
        Host::Ip(_) => None,
    }
}

/// The causes never repeat the URL: it may hold a password.
fn parse_url(text: &str) -> Result<ParentUrl, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let (protocol, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (ParentProtocol::Http, 80),
        "socks5" | "socks5h" => (ParentProtocol::Socks5, 1080),
        "https" => return Err("a parent proxy spoken to by TLS (https://) is not supported; use http:// or socks5://".into()),
        _ => return Err("the scheme of the parent proxy must be http or socks5".into()),
    };
    let (userinfo, authority) = match rest.trim_end_matches('/').rsplit_once('@') {
        Some((userinfo, authority)) => (Some(userinfo), authority),
        None => (None, rest.trim_end_matches('/')),
    };
    let target = Target::parse(authority)
        .or_else(|malformed| Host::parse(authority).map(|host| Target { host, port: default_port }).map_err(|_| malformed))
        .map_err(|_| "the parent proxy is not of the form http://[user:password@]host[:port]".to_owned())?;
    Ok(ParentUrl { protocol, target, credentials: userinfo.map(parse_credentials).transpose()? })
}

fn parse_credentials(userinfo: &str) -> Result<(String, String), String> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    match (percent_decode(user), percent_decode(password)) {
        (Some(user), Some(password)) if user.len() <= 255 && password.len() <= 255 => Ok((user, password)),
        _ => Err("user or password of the parent proxy are longer than 255 bytes or hold a wrong % sequence or a control character".into()),
    }
}

/// RFC 3986 section 2.1; `None` for a broken sequence, for bytes that are no UTF-8 and for control characters.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(out).ok().filter(|text| !text.chars().any(char::is_control))
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(http: &str, no_proxy: &str) -> Result<ParentProxy, Vec<String>> {
        ParentProxy::build(Some(http), Some(http), Some(no_proxy))
    }

    fn bypasses(no_proxy: &str, target: &str) -> bool {
        let target = Target::parse(target).unwrap();
        parent("http://p:1", no_proxy).unwrap().for_tunnel(&target.host, target.port).is_none()
    }

    #[test]
    fn urls_are_read_with_defaults_and_credentials() {
        for (text, shown) in [
            ("http://proxy.example.com:3128", "http://proxy.example.com:3128"),
            ("http://proxy.example.com/", "http://proxy.example.com:80"),
            ("proxy:3128", "http://proxy:3128"),
            ("socks5h://[::1]:9", "socks5://[::1]:9"),
            ("SOCKS5://10.0.0.1", "socks5://10.0.0.1:1080"),
            ("http://a:b%40c@proxy:1", "http://***@proxy:1"),
        ] {
            assert_eq!(parent(text, "").unwrap().http.unwrap().to_string(), shown);
        }
        let url = parent("http://ada:p%40ss@proxy:1", "").unwrap().https.unwrap();
        assert_eq!(url.credentials, Some(("ada".into(), "p@ss".into())));
        assert!(!format!("{url:?}").contains("p@ss"));
    }

    #[test]
    fn wrong_urls_are_refused_without_repeating_them() {
        for text in [
            "https://s3cret@proxy:1",
            "ftp://proxy",
            "http://",
            "http://a b",
            "http://u:s3cret%zz@p",
            "http://u:s3cret%0a@p",
            "http://p:0",
            "http://p/x",
        ] {
            let causes = parent(text, "").unwrap_err();
            assert!(causes.iter().all(|cause| !cause.contains("s3cret")), "{causes:?}");
        }
        assert_eq!(parent("ftp://p", "a b,c/d").unwrap_err().len(), 4, "all causes at once");
    }

    #[test]
    fn no_proxy_follows_go() {
        for (no_proxy, target, expected) in [
            ("", "example.com:443", false),
            ("*", "example.com:443", true),
            ("example.com", "example.com:443", true),
            ("example.com", "a.example.com:443", true),
            ("example.com", "notexample.com:443", false),
            (".example.com", "example.com:443", false),
            (".example.com", "a.example.com:443", true),
            ("*.example.com", "a.example.com:443", true),
            ("example.com:80", "example.com:443", false),
            ("example.com:443", "a.example.com:443", true),
            ("10.0.0.0/8", "10.1.2.3:443", true),
            ("10.0.0.0/8", "11.1.2.3:443", false),
            ("10.1.2.3", "10.1.2.3:443", true),
            ("10.1.2.3:80", "10.1.2.3:443", false),
            ("2001:db8::/32", "[2001:db8::1]:443", true),
            ("::2", "[::2]:443", true),
            ("a.com, b.com ,,", "b.com:1", true),
            ("", "localhost:443", true),
            ("", "127.0.0.1:443", true),
            ("", "[::1]:443", true),
        ] {
            assert_eq!(bypasses(no_proxy, target), expected, "{no_proxy:?} {target}");
        }
    }

    #[test]
    fn an_empty_environment_means_no_parent() {
        assert_eq!(ParentProxy::from_environment(Some(""), None, Some("*")), Ok(None));
        assert!(ParentProxy::from_environment(None, Some("http://p:1"), None).unwrap().unwrap().https.is_some());
    }
}

//! Which destination a request is for.

use hyper::header::{HOST, HeaderMap};
use hyper::{Request, Uri};

use crate::policy::{Host, MalformedHost, Target};

const HTTP_PORT: u16 = 80;

/// The destination of a plain request, or why it has none.
pub(super) fn of_request<B>(request: &Request<B>) -> Result<Target, Unusable> {
    let uri = request.uri();
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) if scheme.eq_ignore_ascii_case("http") => of_authority(authority.as_str()),
        (Some(scheme), _) if scheme.eq_ignore_ascii_case("https") => {
            Err(Unusable::Cause("this proxy does not speak TLS for its clients; open a tunnel with CONNECT"))
        }
        (Some(_), _) => Err(Unusable::Cause("only http:// URLs can be requested from this proxy")),
        (None, _) => Err(Unusable::Cause("this is a proxy: the request must name a whole URL, http://host/path")),
    }
}

/// The destination of a CONNECT request.
pub(super) fn of_connect(uri: &Uri) -> Result<Target, Unusable> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    Target::parse(authority).map_err(|MalformedHost| Unusable::Malformed(authority.to_owned()))
}

/// Why a request has no destination.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is of a form that is not served.
    Cause(&'static str),
    /// Host or port make no sense; the text as it was sent.
    Malformed(String),
}

/// `host`, `host:port` or `host:`; without userinfo, which would only serve to mislead whoever reads it.
fn of_authority(authority: &str) -> Result<Target, Unusable> {
    if authority.contains('@') {
        return Err(Unusable::Cause("user names and passwords in the URL are not accepted"));
    }
    with_default_port(authority).map_err(|MalformedHost| Unusable::Malformed(authority.to_owned()))
}

fn with_default_port(authority: &str) -> Result<Target, MalformedHost> {
    let host = authority.strip_suffix(':').unwrap_or(authority);
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port { Target::parse(authority) } else { Ok(Target { host: Host::parse(host)?, port: HTTP_PORT }) }
}

/// Does the Host header, if there is one, name the same destination? It is written anew in any case; a request that says two things is
/// not passed on at all.
pub(super) fn host_header_agrees(headers: &HeaderMap, target: &Target) -> bool {
    let mut values = headers.get_all(HOST).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) => value.to_str().is_ok_and(|text| with_default_port(text).as_ref() == Ok(target)),
        (Some(_), Some(_)) => false,
    }
}

/// The Host header for a destination.
pub(super) fn host_header(target: &Target) -> String {
    if target.port == HTTP_PORT { target.host.to_string() } else { target.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<String, Unusable> {
        let request = Request::builder().uri(url).body(()).map_err(|_| Unusable::Cause("not parsed"))?;
        of_request(&request).map(|target| target.to_string())
    }

    #[test]
    fn absolute_urls_have_a_destination() {
        for (url, expected) in [
            ("http://Example.com/x", "example.com:80"),
            ("HTTP://example.com:8080", "example.com:8080"),
            ("http://example.com:/", "example.com:80"),
            ("http://[::1]/", "[::1]:80"),
            ("http://[::1]:81/", "[::1]:81"),
            ("http://127.1/", "127.0.0.1:80"),
            ("http://example.com./", "example.com:80"),
        ] {
            assert_eq!(target(url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn everything_else_is_unusable() {
        for url in [
            "/x",
            "*",
            "https://example.com/",
            "ftp://example.com/",
            "http://user:pw@example.com/",
            "http://user@example.com/",
            "http://a:0/",
            "http://a:99999/",
            "http://a:99999:80/",
            "http://a..b/",
            "http://a%62/",
            "http://[::1%25eth0]/",
            "example.com:80",
            "http://a:+80/",
        ] {
            assert!(target(url).is_err(), "{url}");
        }
    }

    #[test]
    fn connect_needs_host_and_port() {
        let of = |text: &str| text.parse::<Uri>().ok().and_then(|uri| of_connect(&uri).ok()).map(|target| target.to_string());
        assert_eq!(of("Example.com:443").as_deref(), Some("example.com:443"));
        assert_eq!(of("[::1]:443").as_deref(), Some("[::1]:443"));
        for bad in [
            "example.com",
            "example.com:",
            "example.com:0",
            "example.com:99999",
            "u@example.com:443",
            "/",
            "*",
            "http://example.com:443/x:1",
        ] {
            assert!(of(bad).is_none() || bad.starts_with("http"), "{bad}");
        }
    }

    #[test]
    fn the_host_header_must_agree() {
        let wanted = Target::parse("example.com:80").unwrap();
        for (hosts, expected) in [
            (&[][..], true),
            (&["EXAMPLE.com"], true),
            (&["example.com:80"], true),
            (&["example.com:81"], false),
            (&["evil.com"], false),
            (&["example.com", "example.com"], false),
            (&[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().unwrap());
            }
            assert_eq!(host_header_agrees(&headers, &wanted), expected, "{hosts:?}");
        }
    }
}

//! Header fields that belong to one connection and are not passed on (RFC 9110 section 7.6.1).

use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};

use crate::policy::Located;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The protocol that a client asks to switch to, if `Connection` says so too.
pub(super) fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    connection_tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade")).then(|| headers.get(UPGRADE).cloned()).flatten()
}

/// Puts back what [`remove_hop_by_hop`] took, for a switch that both sides are part of.
pub(super) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Removes the fields of this hop, those that `Connection` names, and all `Proxy-*`. Framing is written anew by hyper.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // With a transfer coding the length says something else than the body; hyper reads the coding, and so must whoever comes next.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = connection_tokens(headers).filter_map(|token| token.parse().ok()).collect();
    for name in named.iter().chain(&[CONNECTION, KEEP_ALIVE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE]) {
        headers.remove(name);
    }
    let proxy: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("proxy-")).cloned().collect();
    for name in proxy {
        headers.remove(name);
    }
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// `stripResponseHeaders`: names are compared without case, and `-`, `_` and `.` are one.
pub(super) fn strip(headers: &mut HeaderMap, names: &[Located<String>]) {
    let doomed: Vec<HeaderName> =
        headers.keys().filter(|name| names.iter().any(|entry| fold(&entry.value).eq(fold(name.as_str())))).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

fn fold(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| if matches!(byte, b'_' | b'.') { b'-' } else { byte.to_ascii_lowercase() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Origin;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn fields_of_this_hop_are_removed() {
        let mut map = headers(&[
            ("accept", "*/*"),
            ("connection", "close, X-Secret ,"),
            ("x-secret", "1"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("proxy-anything", "1"),
            ("cookie", "a=b"),
        ]);
        remove_hop_by_hop(&mut map);
        assert_eq!(names(&map), ["accept", "cookie"]);
    }

    #[test]
    fn a_length_without_transfer_coding_stays() {
        let mut map = headers(&[("content-length", "3")]);
        remove_hop_by_hop(&mut map);
        assert_eq!(names(&map), ["content-length"]);
    }

    #[test]
    fn an_upgrade_needs_both_fields() {
        assert!(wanted_upgrade(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])).is_some());
        assert!(wanted_upgrade(&headers(&[("upgrade", "websocket")])).is_none());
        assert!(wanted_upgrade(&headers(&[("connection", "upgrade")])).is_none());
    }

    #[test]
    fn stripped_names_are_folded() {
        let mut map = headers(&[("x-deny-reason", "1"), ("x_deny.reason", "2"), ("x-deny", "3")]);
        strip(&mut map, &[Located::new("X_Deny-Reason".into(), Origin::Flag("--test"))]);
        assert_eq!(names(&map), ["x-deny"]);
    }
}

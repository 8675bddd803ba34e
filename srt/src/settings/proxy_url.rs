//! URLs of parent proxies: `scheme://[user[:password]@]host:port[/]`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::text::check_plain;

const FORMS: &str = "the form is http://[user:password@]host:port, or socks5:// or socks5h:// in place of http://";

/// Can it be served? The error is the cause in words, and does not repeat the URL.
pub(super) fn check(url: &str) -> Result<(), String> {
    check_plain(url)?;
    let (scheme, rest) = url.split_once("://").ok_or(FORMS)?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "socks5" | "socks5h" => {}
        "https" => return Err("a proxy that is itself reached by TLS (https://) cannot be served yet".into()),
        _ => return Err(FORMS.into()),
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', ' ', '\\']) {
        return Err("only a host and a port may follow the scheme".into());
    }
    check_host_and_port(authority.rsplit_once('@').map_or(authority, |(_, host_and_port)| host_and_port))
}

fn check_host_and_port(text: &str) -> Result<(), String> {
    let (host, port) = text.rsplit_once(':').filter(|(_, port)| !port.contains(']')).ok_or("the port is missing")?;
    if !is_port(port) {
        return Err("the port is not a number from 1 to 65535".into());
    }
    if !is_host(host) {
        return Err("the host is missing or malformed; an IPv6 address stands in brackets".into());
    }
    Ok(())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let legal = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    let is_name = !text.is_empty() && text.chars().all(legal);
    // What looks like an IPv4 address is one: resolvers disagree about 127.1 or 010.0.0.1.
    let last_label = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_numeric =
        last_label.starts_with(|first: char| first.is_ascii_digit()) && last_label.chars().all(|c| c.is_ascii_hexdigit() || c == 'x');
    is_name && (!is_numeric || text.parse::<Ipv4Addr>().is_ok())
}

/// The URL without what stands in front of `@`, which may hold a password.
pub(super) fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_have_a_scheme_a_host_and_a_port() {
        for url in [
            "http://proxy.example.com:3128",
            "HTTP://proxy:80/",
            "socks5://10.0.0.1:1080",
            "socks5h://[::1]:1080",
            "http://user:p%40ss@proxy:3128",
            "http://user:a@b:c@proxy:3128",
            "http://localhost:1",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for url in [
            "",
            "proxy:3128",
            "proxy.example.com",
            "ftp://proxy:21",
            "socks4://proxy:1080",
            "http://proxy",
            "http://[::1]",
            "http://:3128",
            "http://proxy:0",
            "http://proxy:65536",
            "http://proxy:+80",
            "http://proxy:",
            "http://::1:3128",
            "http://a b:80",
            "http://127.1:80",
            "http://proxy:80/path",
            "http://proxy:80?x",
            "http://proxy:80\r\nX: y",
            "http://[zz]:80",
        ] {
            assert!(check(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn https_proxies_are_refused_by_name() {
        assert!(check("https://proxy:443").is_err_and(|cause| cause.contains("https")));
    }

    #[test]
    fn messages_do_not_repeat_passwords() {
        assert_eq!(without_password("http://u:secret@h:0"), "http://…@h:0");
        assert_eq!(without_password("u:sec@ret@h"), "://…@h");
        assert_eq!(without_password("http://h"), "http://h");
    }
}

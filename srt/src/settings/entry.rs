//! Single entries of lists: paths, domains, addresses, names.
//!
//! Each check returns the cause in words. Options of the command line go through the same checks as files.

use std::net::IpAddr;

use ipnet::IpNet;

use super::text::check_plain;
use super::variable;
use crate::policy::{DomainList, DomainPattern, is_glob};

/// A path entry as written. In a literal one no character is special, so it may hold anything but control characters.
pub(super) fn check_path(text: &str, literal: bool) -> Result<(), String> {
    check_plain(text)?;
    if literal {
        return Ok(());
    }
    variable::pieces(text)?;
    // A path never ends in a separator, so such a pattern would stand there and match nothing.
    if text.ends_with('/') && is_glob(text) {
        return Err("a pattern that ends in / matches nothing; leave the / out".into());
    }
    Ok(())
}

/// A domain entry.
pub(super) fn check_domain(text: &str, list: DomainList) -> Result<(), String> {
    DomainPattern::parse(text, list).map(|_| ())
}

/// An address or a CIDR block.
pub(super) fn check_address(text: &str) -> Result<(), String> {
    if text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok() {
        return Ok(());
    }
    Err("it is no address and no CIDR block such as 10.0.0.0/8 or fd00::/8".into())
}

/// A field name (RFC 9110, section 5.1).
pub(super) fn check_header_name(text: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.bytes().all(legal) { Ok(()) } else { Err("it is no HTTP header name".into()) }
}

/// A Mach service name; one `*` may stand at its end, but not alone.
pub(super) fn check_mach_name(text: &str) -> Result<(), String> {
    let prefix = text.strip_suffix('*').unwrap_or(text);
    if prefix.is_empty() || prefix.contains('*') {
        return Err("a * may only stand at the end of a name".into());
    }
    Ok(())
}

/// A path of a program.
pub(super) fn check_absolute(text: &str) -> Result<(), String> {
    check_plain(text)?;
    if text.starts_with('/') { Ok(()) } else { Err("must be an absolute path".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_hold_variables_and_globs() {
        for text in [".", "~/.ssh", "${X:-~/.x}/y/", "**/.env", "src/**", "a b", "ü", "[x"] {
            assert_eq!(check_path(text, false), Ok(()), "{text}");
        }
    }

    #[test]
    fn unusable_paths_are_refused() {
        for text in ["", "a\0b", "a\nb", "a\u{7f}", "${", "${A", "x/*/", "**/", "/a/[ab]/"] {
            assert!(check_path(text, false).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nothing_is_special_in_a_literal_path() {
        for text in ["${", "*/", "[a]/"] {
            assert_eq!(check_path(text, true), Ok(()), "{text}");
        }
        assert!(check_path("a\0", true).is_err() && check_path("", true).is_err());
    }

    #[test]
    fn addresses_are_single_or_blocks() {
        for text in ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"] {
            assert_eq!(check_address(text), Ok(()), "{text}");
        }
        for text in ["10.0.0", "10.0.0.0/33", "[::1]", "example.com", "127.1", "10.0.0.1:80", "fe80::1%eth0"] {
            assert!(check_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn header_names_are_tokens() {
        assert_eq!(check_header_name("X-Deny_Reason.1"), Ok(()));
        for text in ["a b", "a:", "ä", "a\r\nb"] {
            assert!(check_header_name(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn mach_names_end_in_at_most_one_star() {
        assert_eq!(check_mach_name("com.apple.*"), Ok(()));
        for text in ["*", "a*b", "a**"] {
            assert!(check_mach_name(text).is_err(), "{text}");
        }
    }
}

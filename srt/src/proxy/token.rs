//! The secret of one run, where the proxy listens on a loopback that other programs of the host reach too.
//!
//! It is drawn anew for each run and given to nobody but the command. It does not keep out programs of the same user, who can read the command's environment: it
//! keeps other users from borrowing this user's way out, and programs that scan ports from having one at all.

use std::fmt;
use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, PROXY_AUTHORIZATION};

use crate::Fault;

/// The user name that goes with the token. It tells nothing, and is compared all the same.
const USER: &[u8] = b"srt";
/// Random bytes of a token.
const LENGTH: usize = 16;

/// What a client must present.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; LENGTH]);

impl Token {
    /// Draws one.
    ///
    /// # Errors
    /// No random numbers can be had.
    pub fn random() -> Result<Token, Fault> {
        let bytes = crate::unix::random().map_err(|error| Fault::os("draw the token of the proxy", error))?;
        Ok(Token(bytes))
    }

    /// The address of a proxy on the loopback for `HTTP_PROXY` and its relatives, with user name and token.
    pub fn url(&self, port: u16) -> String {
        format!("http://{}:{}@127.0.0.1:{port}", String::from_utf8_lossy(USER), self.text())
    }

    /// Lower-case hexadecimal digits: nothing that a URL would have to escape.
    fn text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Does a request present it (RFC 7617)? Twice is not at all.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(PROXY_AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, encoded)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else { return false };
        let Ok(decoded) = STANDARD.decode(encoded.trim_ascii()) else { return false };
        let Some(colon) = decoded.iter().position(|byte| *byte == b':') else { return false };
        scheme.eq_ignore_ascii_case("basic") && self.is(&decoded[..colon], &decoded[colon + 1..])
    }

    /// Are these its user name and itself?
    pub(super) fn is(&self, user: &[u8], password: &[u8]) -> bool {
        // Both are looked at in any case.
        same(user, USER) & same(password, self.text().as_bytes())
    }
}

/// Compares without telling by its time how much was right. The lengths are no secret.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let differing = given.iter().zip(wanted).fold(0, |differing, (given, wanted)| black_box(differing | (given ^ wanted)));
    given.len() == wanted.len() && differing == 0
}

/// Not to be found in any log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PROXY_AUTHORIZATION, value.parse().unwrap());
        }
        Token([0xab; LENGTH]).admits(&headers)
    }

    fn basic(credentials: &str) -> String {
        format!("Basic {}", STANDARD.encode(credentials))
    }

    #[test]
    fn only_the_very_token_is_admitted() {
        let right = format!("srt:{}", "ab".repeat(LENGTH));
        assert!(presented(&[&basic(&right)]));
        assert!(presented(&[&basic(&right).replace("Basic", "bAsIc")]));
        for wrong in
            [right.replace("srt", "root"), right.replacen('b', "c", 1), right.to_uppercase(), format!("{right}ab"), format!("{right} ")]
        {
            assert!(!presented(&[&basic(&wrong)]), "{wrong}");
        }
        let cut = &right[..right.len() - 1];
        for wrong in ["", "srt:", ":", "srt", cut, &right[4..]] {
            assert!(!presented(&[&basic(wrong)]), "{wrong}");
        }
        assert!(!presented(&[]));
        assert!(!presented(&[&basic(&right), &basic(&right)]), "twice");
        for broken in ["Basic", "Basic ", "Basic !", "Bearer c3J0", &right] {
            assert!(!presented(&[broken]), "{broken}");
        }
    }

    #[test]
    fn two_tokens_differ_and_none_is_shown() {
        let (one, two) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(one, two);
        assert!(!format!("{one:?}").contains(&one.text()));
        assert_eq!(one.url(8080), format!("http://srt:{}@127.0.0.1:8080", one.text()));
    }
}

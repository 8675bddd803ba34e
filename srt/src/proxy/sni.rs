//! The server name in a TLS ClientHello.
//!
//! Written here rather than taken from a TLS library: what is needed is one field of one message, read from bytes that arrive in
//! pieces and may be split over records, and nothing else of TLS should be reachable from the sandbox. Every length is checked against
//! what is there; nothing is allocated beyond the handshake message itself.
//!
//! Strict on purpose. What is no well-formed ClientHello in handshake records is [`Hello::Refused`], because a server might be more
//! forgiving than we are and read a name where we read none.
//!
//! Limits, by design: a second ClientHello after HelloRetryRequest is not compared again, and with Encrypted ClientHello the outer name
//! is the one compared.
//!
//! See RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3.

/// What the first bytes of a client are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// No TLS.
    Opaque,
    /// TLS so far; more bytes are needed.
    Incomplete,
    /// A whole ClientHello and its server name, if it has one.
    Complete(Option<String>),
    /// TLS, but nothing that can be compared.
    Refused,
}

/// Content types change_cipher_spec, alert, handshake and application_data. Only a handshake record may come first, but a server may
/// skip a stray alert or change_cipher_spec, so none of them passes as "not TLS".
const CONTENT_TYPES: std::ops::RangeInclusive<u8> = 20..=23;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// Longest fragment of a plaintext record.
const MAX_FRAGMENT: usize = 1 << 14;

/// Reads the first bytes of a client, as many as there are.
pub(super) fn parse(bytes: &[u8]) -> Hello {
    match bytes {
        [] => Hello::Incomplete,
        [first, ..] if !CONTENT_TYPES.contains(first) => Hello::Opaque,
        [_] => Hello::Incomplete,
        [_, major, ..] if *major != 3 => Hello::Opaque,
        _ => parse_records(bytes),
    }
}

/// Joins the fragments of handshake records until the first message is whole.
fn parse_records(bytes: &[u8]) -> Hello {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        match message_length(&message) {
            Err(NotAHello) => return Hello::Refused,
            Ok(Some(length)) if message.len() >= length => return parse_hello(&message[4..length]).map_or(Hello::Refused, Hello::Complete),
            Ok(_) => {}
        }
        match split_record(rest) {
            Ok(Some((fragment, after))) => {
                message.extend_from_slice(fragment);
                rest = after;
            }
            Ok(None) => return Hello::Incomplete,
            Err(NotAHello) => return Hello::Refused,
        }
    }
}

struct NotAHello;

/// A fragment, and the bytes behind it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// Header and body of the message; `None` while its header is not there.
fn message_length(message: &[u8]) -> Result<Option<usize>, NotAHello> {
    match message {
        [] => Ok(None),
        [kind, ..] if *kind != CLIENT_HELLO => Err(NotAHello),
        [_, high, middle, low, ..] => Ok(Some(4 + (usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low)))),
        _ => Ok(None),
    }
}

/// The fragment of the first record, which may be cut off, and what follows it; `None` where nothing of a fragment is there.
fn split_record(bytes: &[u8]) -> Result<Option<Split<'_>>, NotAHello> {
    match bytes {
        [kind, ..] if *kind != HANDSHAKE => Err(NotAHello),
        [_, major, ..] if *major != 3 => Err(NotAHello),
        [_, _, _, high, low, fragment @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            match length {
                0 => Err(NotAHello),
                _ if length > MAX_FRAGMENT => Err(NotAHello),
                _ if fragment.is_empty() => Ok(None),
                _ => Ok(Some(fragment.split_at(length.min(fragment.len())))),
            }
        }
        _ => Ok(None),
    }
}

/// Reads a ClientHello without its header; `None` where it is malformed.
fn parse_hello(body: &[u8]) -> Option<Option<String>> {
    let mut hello = Reader(body);
    let (_version, _random) = (hello.take(2)?, hello.take(32)?);
    let _session = hello.vector8()?;
    let _ciphers = hello.vector16()?;
    let _compression = hello.vector8()?;
    if hello.0.is_empty() {
        return Some(None); // TLS 1.2 and older may have no extensions at all.
    }
    let mut extensions = Reader(hello.vector16()?);
    let mut name = None;
    while !extensions.0.is_empty() {
        let (kind, content) = (extensions.number16()?, extensions.vector16()?);
        if kind == SERVER_NAME && name.replace(parse_server_name(content)?).is_some() {
            return None; // Given twice: no telling which one the server takes.
        }
    }
    hello.0.is_empty().then_some(name)
}

/// A list with exactly one host name, the only form in use.
fn parse_server_name(content: &[u8]) -> Option<String> {
    let mut outer = Reader(content);
    let mut list = Reader(outer.vector16()?);
    let kind = list.take(1)?;
    let name = list.vector16()?;
    let alone = outer.0.is_empty() && list.0.is_empty() && kind == [HOST_NAME];
    String::from_utf8(name.to_vec()).ok().filter(|_| alone)
}

/// Takes bytes off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::policy::testing::Random;

    fn vector16(content: &[u8]) -> Vec<u8> {
        [&(content.len() as u16).to_be_bytes(), content].concat()
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [kind.to_be_bytes().to_vec(), vector16(content)].concat()
    }

    fn server_name(name: &str) -> Vec<u8> {
        extension(SERVER_NAME, &vector16(&[vec![HOST_NAME], vector16(name.as_bytes())].concat()))
    }

    fn message(extensions: Option<Vec<u8>>) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend(extensions.map(|extensions| vector16(&extensions)).unwrap_or_default());
        let length = (body.len() as u32).to_be_bytes();
        [&[CLIENT_HELLO], &length[1..], &body].concat()
    }

    fn records(message: &[u8], fragment: usize) -> Vec<u8> {
        message.chunks(fragment).flat_map(|chunk| [vec![HANDSHAKE, 3, 1], vector16(chunk)].concat()).collect()
    }

    /// A ClientHello in records of at most `fragment` bytes.
    pub(crate) fn client_hello(name: Option<&str>, fragment: usize) -> Vec<u8> {
        let extensions = [extension(10, &[0, 2, 0, 29]), name.map(server_name).unwrap_or_default(), extension(43, &[2, 3, 4])].concat();
        records(&message(Some(extensions)), fragment)
    }

    #[test]
    fn the_name_is_found_however_the_records_are_cut() {
        for fragment in [1, 2, 3, 4, 5, 50, 16_384] {
            let bytes = client_hello(Some("example.com"), fragment);
            assert_eq!(parse(&bytes), Hello::Complete(Some("example.com".into())), "fragments of {fragment}");
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Hello::Incomplete, "{end} of {}", bytes.len());
            }
        }
    }

    #[test]
    fn a_hello_may_have_no_name_and_no_extensions() {
        assert_eq!(parse(&client_hello(None, 100)), Hello::Complete(None));
        assert_eq!(parse(&records(&message(None), 100)), Hello::Complete(None));
    }

    #[test]
    fn other_protocols_are_opaque() {
        for bytes in [&b"SSH-2.0-x"[..], b"GET / HTTP/1.1", b"\x00\x00", b"\x80\x2e\x01", &[22, 2, 0], &[22, 4, 3]] {
            assert_eq!(parse(bytes), Hello::Opaque);
        }
        assert_eq!(parse(&[]), Hello::Incomplete);
        assert_eq!(parse(&[22]), Hello::Incomplete);
    }

    #[test]
    fn what_a_forgiving_server_could_read_otherwise_is_refused() {
        let hello = client_hello(Some("example.com"), 16_384);
        let alert_first = [&[21, 3, 3, 0, 2, 1, 90], &hello[..]].concat();
        let empty_record_first = [&[22, 3, 1, 0, 0], &hello[..]].concat();
        let other_message = records(&[0, 0, 0, 0], 10);
        let huge_fragment = [22, 3, 1, 0x40, 1, 1];
        let name_twice = records(&message(Some([server_name("a.com"), server_name("b.com")].concat())), 16_384);
        let two_names = vector16(&[vec![0], vector16(b"a.com"), vec![0], vector16(b"b.com")].concat());
        let other_kind = vector16(&[vec![1], vector16(b"a.com")].concat());
        let list_of = |list: Vec<u8>| records(&message(Some(extension(SERVER_NAME, &list))), 16_384);
        let mut trailing = message(Some(server_name("a.com")));
        trailing[3] += 1;
        trailing.push(0);
        for bytes in [
            alert_first,
            empty_record_first,
            other_message,
            huge_fragment.to_vec(),
            name_twice,
            list_of(two_names),
            list_of(other_kind),
            list_of(vec![]),
            records(&trailing, 16_384),
            vec![20, 3, 3, 0, 1, 1],
            vec![23, 3, 3],
        ] {
            assert_eq!(parse(&bytes), Hello::Refused, "{bytes:?}");
        }
    }

    #[test]
    fn damaged_and_random_bytes_never_panic() {
        let mut random = Random::new(11);
        for _ in 0..20_000 {
            let mut bytes = client_hello(Some("example.com"), 1 + random.below(200));
            for _ in 0..=random.below(4) {
                let place = random.below(bytes.len());
                bytes[place] = random.next() as u8;
            }
            bytes.truncate(random.below(bytes.len() + 1));
            let _ = parse(&bytes);
        }
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..random.below(80)).map(|_| random.next() as u8).collect();
            if let [first, second, ..] = &mut bytes[..] {
                (*first, *second) = (HANDSHAKE, 3);
            }
            let _ = parse(&bytes);
        }
    }
}

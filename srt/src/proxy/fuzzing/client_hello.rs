//! The server name: the same however the bytes arrive.

use crate::proxy::sni::{Hello, parse};

/// The first bytes of a client.
pub(crate) fn client_hello(data: &[u8]) {
    if data.len() > 2048 {
        return;
    }
    let whole = parse(data);
    for end in 0..data.len() {
        let first = parse(&data[..end]);
        assert!(first == Hello::Incomplete || first == whole, "{first:?} after {end} bytes, {whole:?} in the end");
    }
    match &whole {
        Hello::Complete(name) => {
            let text = name.as_deref().unwrap_or_default();
            let message = message(data).expect("handshake records, which hold a whole message");
            assert!(contains(&message, text.as_bytes()), "{text:?} stands in the message");
            for fragment in [1, 3, 100, 16_384] {
                assert_eq!(parse(&in_records(&message, fragment)), whole, "fragments of {fragment}");
            }
        }
        Hello::Opaque => assert!(!(20..=23).contains(&data[0]) || data[1] != 3),
        Hello::Incomplete | Hello::Refused => {}
    }
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    part.is_empty() || all.windows(part.len()).any(|window| window == part)
}

/// The first handshake message, out of its records; `None` where they are no handshake records or end too early.
fn message(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let whole = message.get(1..4).map(|length: &[u8]| 4 + length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)));
        if let Some(whole) = whole.filter(|whole| message.len() >= *whole) {
            message.truncate(whole);
            return Some(message);
        }
        let ([22, 3, _, high, low], after) = rest.split_first_chunk()? else { return None };
        let length = (usize::from(*high) << 8 | usize::from(*low)).min(after.len());
        message.extend_from_slice(&after[..length]);
        rest = &after[length..];
    }
}

fn in_records(message: &[u8], fragment: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[22, 3, 1], &(part.len() as u16).to_be_bytes()[..], part].concat();
    message.chunks(fragment).flat_map(record).collect()
}

//! What a guest sends to the host: named items, apart from everything that its programs print.

use std::collections::BTreeMap;

/// The items that arrived whole.
#[derive(Default)]
pub(super) struct Record {
    items: BTreeMap<String, Vec<u8>>,
}

impl Record {
    /// Reads `NAME LENGTH`, a line feed and so many bytes, again and again. What was cut off by an early end is left out.
    pub(super) fn read(mut bytes: &[u8]) -> Self {
        let mut items = BTreeMap::new();
        while let Some((name, body, rest)) = item(bytes) {
            items.insert(name, body.to_owned());
            bytes = rest;
        }
        Record { items }
    }

    /// One item as text.
    pub(super) fn item(&self, name: &str) -> Option<String> {
        self.items.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

fn item(bytes: &[u8]) -> Option<(String, &[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (name, length) = std::str::from_utf8(&bytes[..end]).ok()?.rsplit_once(' ')?;
    let (body, rest) = bytes[end + 1..].split_at_checked(length.parse().ok()?)?;
    Some((name.to_owned(), body, rest))
}

#[cfg(test)]
mod tests {
    use super::Record;

    #[test]
    fn items_may_hold_what_looks_like_items() {
        let record = Record::read(b"doctor 8\n{}\nend 1skips 0\nend 1\n0");
        assert_eq!(record.item("doctor").as_deref(), Some("{}\nend 1"));
        assert_eq!(record.item("skips").as_deref(), Some(""));
        assert_eq!(record.item("end").as_deref(), Some("0"));
    }

    #[test]
    fn what_was_cut_off_is_missing() {
        let record = Record::read(b"kernel 3\n6.1doctor 100\n{");
        assert_eq!(record.item("kernel").as_deref(), Some("6.1"));
        assert_eq!(record.item("doctor"), None);
        assert!(Record::read(b"no number\n").item("no").is_none());
    }
}

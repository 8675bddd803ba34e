//! Strings, in the profile language.
//!
//! Its reader is a small Scheme: between double quotes, a backslash starts an escape, and `\xHH` is one byte.

use std::fmt::Write as _;

/// Longest string that is written, in bytes between the quotes. The system refuses more than 1025 (seen with `sandbox-exec`).
pub(super) const MAX_STRING: usize = 1000;

/// The bytes as a string. Text stays readable; what has no shape of its own is escaped.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|character| push(&mut out, character));
        chunk.invalid().iter().for_each(|byte| push_byte(&mut out, *byte));
    }
    out.push('"');
    out
}

fn push(out: &mut String, character: char) {
    match character {
        '"' | '\\' => out.extend(['\\', character]),
        ' '..='~' => out.push(character),
        // Letters of other scripts are what they look like; marks that no eye sees, or that turn the line around, are not.
        _ if character.is_alphanumeric() => out.push(character),
        _ => character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_byte(out, byte)),
    }
}

fn push_byte(out: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_leaves_its_string_or_its_line() {
        for (bytes, expected) in [
            (&b"/a b"[..], r#""/a b""#),
            (b"/\"\\", r#""/\"\\""#),
            (b"/\n\x1b;", r#""/\x0a\x1b;""#),
            ("/ü\u{202e}".as_bytes(), r#""/ü\xe2\x80\xae""#),
            (b"/\xff", r#""/\xff""#),
        ] {
            assert_eq!(quoted(bytes), expected);
        }
    }
}

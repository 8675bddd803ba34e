//! Texts that users wrote, checked and shown.
//!
//! A settings file may come from somebody else's repository (named with `--settings`), so what a message repeats from it must not be
//! able to steer a terminal.

/// Longest text that a message repeats, in characters.
const SHOWN: usize = 120;

/// `text` for a message: control, bidirectional and zero-width characters are escaped, and what is too long is cut.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        match character {
            _ if count == SHOWN => return out + "…",
            hidden if is_hidden(hidden) => out.extend(hidden.escape_unicode()),
            plain => out.push(plain),
        }
    }
    out
}

/// In quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// No entry of any list is empty or holds a control character: both are always mistakes, and a NUL would cut a path short.
pub(super) fn check_plain(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    check_controls(text)
}

/// As [`check_plain`], for texts that may be empty.
pub(super) fn check_controls(text: &str) -> Result<(), String> {
    match text.chars().find(|character| character.is_control()) {
        Some(control) => Err(format!("it holds the control character U+{:04X}", u32::from(control))),
        None => Ok(()),
    }
}

/// A name of an environment variable: letters, digits and `_`, and no digit in front (POSIX.1-2017, section 3.235).
pub(super) fn is_variable_name(name: &str) -> bool {
    let legal = |character: char| character.is_ascii_alphanumeric() || character == '_';
    !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit()) && name.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_do_not_repeat_terminal_controls() {
        assert_eq!(shown("a\u{1b}[2Jb\u{202e}c\0"), "a\\u{1b}[2Jb\\u{202e}c\\u{0}");
        assert_eq!(shown("größe"), "größe");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(shown(&"x".repeat(1 << 20)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn empty_texts_and_controls_are_refused() {
        assert!(check_plain("").is_err());
        assert_eq!(check_plain("a\0"), Err("it holds the control character U+0000".into()));
        assert_eq!(check_controls("a\u{9b}"), Err("it holds the control character U+009B".into()));
        assert_eq!(check_controls(""), Ok(()));
        assert_eq!(check_plain("Ä b"), Ok(()));
    }

    #[test]
    fn variable_names_follow_posix() {
        assert!(is_variable_name("_A1") && is_variable_name("path"));
        assert!(!is_variable_name("1A") && !is_variable_name("") && !is_variable_name("A-B") && !is_variable_name("Ä"));
    }
}

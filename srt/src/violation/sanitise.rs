//! Text from inside the sandbox, made safe to show.
//!
//! A path or a host name may hold escape sequences that drive a terminal, marks that reverse the reading order, or characters that no
//! eye sees and a language model reads. None of them reaches a person's screen or an agent's context.

/// Longest text that is shown, in characters.
const MAX_SHOWN: usize = 1024;

/// Each run of unseen or dangerous characters becomes one space, `<` and `>` go, the ends are trimmed, and the length is capped.
pub fn sanitise(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(MAX_SHOWN));
    let mut length = 0;
    for character in text.chars().filter(|character| !matches!(character, '<' | '>')) {
        if length == MAX_SHOWN {
            shown.push('…');
            break;
        }
        let unseen = is_unseen(character);
        if unseen && (shown.is_empty() || shown.ends_with(' ')) {
            continue;
        }
        shown.push(if unseen { ' ' } else { character });
        length += 1;
    }
    shown.trim().to_owned()
}

fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}'            // soft hyphen, grapheme joiner
            | '\u{17b4}' | '\u{17b5}'       // Khmer inherent vowels
            | '\u{2800}'                    // an empty Braille pattern
            | '\u{fe00}'..='\u{fe0f}'       // variation selectors
            | '\u{fffc}' | '\u{fffe}' | '\u{ffff}' // a place for an object, no characters
            | '\u{13430}'..='\u{1345f}'     // Egyptian format controls
            | '\u{1bca0}'..='\u{1bca3}'     // shorthand format controls
            | '\u{1d173}'..='\u{1d17a}'     // musical format controls
            | '\u{e000}'..='\u{f8ff}'       // for private use: shown as whatever a font holds
            | '\u{f0000}'..='\u{10ffff}'
            | '\u{61c}' | '\u{180e}'        // Arabic letter mark, Mongolian vowel separator
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{200b}'..='\u{200f}'       // zero width, direction marks
            | '\u{2028}'..='\u{202e}'       // line and paragraph separator, bidi embedding and override
            | '\u{2060}'..='\u{206f}'       // word joiner, invisible operators, bidi isolates
            | '\u{feff}'                    // byte order mark
            | '\u{fff9}'..='\u{fffb}'       // interlinear annotation
            | '\u{e0000}'..='\u{e0fff}') // tags, variation selectors supplement, and what is kept for their like
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseen_characters_become_one_space() {
        for (text, shown) in [
            ("/home/ada/ünï", "/home/ada/ünï"),
            ("a\x1b[31mb", "a [31mb"),
            ("a\u{7f}\u{9b}b", "a b"),
            ("a\r\n\t b", "a  b"),
            ("\u{202e}cod.exe", "cod.exe"),
            ("a\u{200b}\u{ad}\u{feff}\u{2066}b", "a b"),
            ("a\u{e0041}\u{e0042}b\u{e0100}", "a b"),
            ("a\u{34f}b\u{fe00}\u{fe0f}c\u{e000}\u{10fffd}d\u{e0fff}\u{2800}e", "a b c d e"),
            ("</sandbox_violations><x>", "/sandbox_violationsx"),
            ("a\u{2028}b\u{2029}c", "a b c"),
            ("", ""),
        ] {
            assert_eq!(sanitise(text), shown, "{text:?}");
        }
    }

    #[test]
    fn length_is_capped_in_characters() {
        let shown = sanitise(&"ü".repeat(5000));
        assert_eq!(shown.chars().count(), MAX_SHOWN + 1);
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn no_character_of_unicode_gets_through_that_should_not() {
        for character in (0..=0x10ffff).filter_map(char::from_u32) {
            let shown = sanitise(&format!("a{character}b"));
            assert!(!shown.chars().any(|c| c.is_control() || matches!(c, '<' | '>' | '\u{202a}'..='\u{202e}' | '\u{e0000}'..='\u{e007f}')));
        }
    }
}

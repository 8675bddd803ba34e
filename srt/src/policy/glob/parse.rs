//! Pattern text to tokens.

/// One token of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// This character.
    Literal(char),
    /// This byte, which is part of no character.
    Byte(u8),
    /// `?`.
    One,
    /// `[…]`: inclusive ranges.
    Set(Vec<(char, char)>),
    /// `*`.
    Run,
    /// `**`.
    Deep,
    /// `**/`.
    Directories,
}

impl Token {
    /// Is it anything but a literal character?
    pub(super) fn is_wild(&self) -> bool {
        !matches!(self, Token::Literal(_) | Token::Byte(_))
    }
}

/// The tokens of a pattern, equal neighbours that can repeat folded into one.
pub(super) fn tokens(pattern: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = pattern;
    while let Some((found, after)) = next(rest) {
        for token in found {
            let repeats = matches!(token, Token::Run | Token::Deep | Token::Directories) && out.last() == Some(&token);
            if !repeats {
                out.push(token);
            }
        }
        rest = after;
    }
    out
}

/// Tokens that stand for these bytes and nothing else.
pub(super) fn plain(bytes: &[u8]) -> Vec<Token> {
    let mut out = Vec::new();
    for chunk in bytes.utf8_chunks() {
        out.extend(chunk.valid().chars().map(Token::Literal));
        out.extend(chunk.invalid().iter().copied().map(Token::Byte));
    }
    out
}

/// The bytes before the first wildcard.
pub(super) fn literal_prefix(tokens: &[Token]) -> Vec<u8> {
    let mut out = Vec::new();
    for token in tokens {
        match token {
            Token::Literal(character) => out.extend(character.encode_utf8(&mut [0; 4]).bytes()),
            Token::Byte(byte) => out.push(*byte),
            _ => break,
        }
    }
    out
}

/// The next token or, for a bracket that is plain text, its characters; and the text after them.
fn next(text: &str) -> Option<(Vec<Token>, &str)> {
    let first = text.chars().next()?;
    Some(match first {
        '*' => stars(text),
        '?' => (vec![Token::One], &text[1..]),
        '[' => bracket(text),
        _ => (vec![Token::Literal(first)], &text[first.len_utf8()..]),
    })
}

fn stars(text: &str) -> (Vec<Token>, &str) {
    let rest = text.trim_start_matches('*');
    match (text.len() - rest.len(), rest.strip_prefix('/')) {
        (1, _) => (vec![Token::Run], rest),
        (_, Some(after_slash)) => (vec![Token::Directories], after_slash),
        (_, None) => (vec![Token::Deep], rest),
    }
}

/// `[` up to the first `]`.
fn bracket(text: &str) -> (Vec<Token>, &str) {
    let Some(end) = text.find(']') else {
        return (vec![Token::Literal('[')], &text[1..]);
    };
    let (whole, rest) = text.split_at(end + 1);
    match set(&whole[1..end]) {
        Some(ranges) => (vec![Token::Set(ranges)], rest),
        None => (whole.chars().map(Token::Literal).collect(), rest),
    }
}

/// The ranges of a set; `None` where it is empty or holds a backwards range. A `-` at either end is a member.
fn set(members: &str) -> Option<Vec<(char, char)>> {
    let characters: Vec<char> = members.chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let low = characters[at];
        let is_range = characters.get(at + 1) == Some(&'-') && at + 2 < characters.len();
        let high = if is_range { characters[at + 2] } else { low };
        if high < low {
            return None;
        }
        ranges.push((low, high));
        at += if is_range { 3 } else { 1 };
    }
    (!ranges.is_empty()).then_some(ranges)
}

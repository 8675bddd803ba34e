//! Patterns as regular expressions.
//!
//! The expressions of Seatbelt know `. [] [^] * + ? | () ^ $` and a backslash before a character that would mean more; nothing else is used. Whether they go by
//! characters or by bytes is not documented. Where that makes a difference (`?` and sets beside ASCII), a denial is written so that it covers either reading, and a
//! permission so that it gives no more than either.

use std::collections::BTreeSet;

use super::text::{MAX_STRING, quoted};
use crate::policy::{Glob, GlobPiece};

/// On which side an expression may err.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// A denial.
    Wide,
    /// A permission.
    Narrow,
}

/// After the first byte of a character that is not ASCII, the others.
const REST_OF_CHARACTER: &str = "[^ -~]?[^ -~]?[^ -~]?";
/// A permission lists at most so many characters beside ASCII, one by one.
const MAX_LISTED: u32 = 64;
/// A pattern with several `**` is split into at most so many expressions.
const MAX_SPLITS: usize = 100;

/// `text` where every character stands for itself.
pub(super) fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        push_literal(&mut out, character);
        out
    })
}

fn push_literal(out: &mut String, character: char) {
    if r"\.[](){}*+?^$|".contains(character) {
        out.push('\\');
    }
    out.push(character);
}

/// `name` in any letter case.
pub(super) fn any_case(name: &str) -> String {
    name.chars().fold(String::new(), |mut out, character| {
        match character {
            letter if letter.is_ascii_alphabetic() => {
                out.extend(['[', letter.to_ascii_lowercase(), letter.to_ascii_uppercase(), ']']);
            }
            other => push_literal(&mut out, other),
        }
        out
    })
}

/// Expressions for what a pattern matches, without anchors: one for each spelling of its fixed part. Empty where it can match nothing.
pub(super) fn bodies(glob: &Glob, fit: Fit) -> Vec<String> {
    let pieces: Vec<GlobPiece<'_>> = glob.pieces().collect();
    spellings(&pieces).iter().filter_map(|pieces| body(pieces, &[], fit)).collect()
}

/// The same for matches of at least `depth` components. `None` where that takes too many expressions.
pub(super) fn bodies_below(glob: &Glob, depth: usize, fit: Fit) -> Option<Vec<String>> {
    let pieces: Vec<GlobPiece<'_>> = glob.pieces().collect();
    let missing = depth.saturating_sub(least_depth(&pieces));
    // A member of a set is one character, so it is one `/` at most.
    let most = |piece: &GlobPiece<'_>| if matches!(piece, GlobPiece::Set(_)) { 1 } else { usize::MAX };
    let room: Vec<usize> = pieces.iter().filter(|piece| is_variable(piece)).map(most).collect();
    let splits = splits(missing, &room)?;
    let all = spellings(&pieces);
    Some(all.iter().flat_map(|pieces| splits.iter().filter_map(|split| body(pieces, split, fit))).collect())
}

/// Expressions for the directories that a pattern names by parts with wildcards, each part for itself: for `/w/**/conf/*.d/x`, what is called `conf`, and what is
/// called `*.d` in it.
pub(super) fn directories(glob: &Glob, fit: Fit) -> Vec<String> {
    let pieces: Vec<GlobPiece<'_>> = glob.pieces().collect();
    let fixed = pieces.iter().position(|piece| !matches!(piece, GlobPiece::Literal(_))).unwrap_or(pieces.len());
    let ends = (fixed..pieces.len()).filter(|at| pieces[*at] == GlobPiece::Literal('/'));
    ends.flat_map(|end| spellings(&pieces[..end])).filter_map(|pieces| body(&pieces, &[], fit)).collect()
}

/// How deep what a pattern matches lies: always the same, or from a depth on.
pub(super) fn depth(glob: &Glob) -> (usize, bool) {
    let pieces: Vec<GlobPiece<'_>> = glob.pieces().collect();
    (least_depth(&pieces), pieces.iter().any(is_variable))
}

fn least_depth(pieces: &[GlobPiece<'_>]) -> usize {
    pieces.iter().filter(|piece| **piece == GlobPiece::Literal('/')).count()
}

/// May it match a `/`?
pub(super) fn is_variable(piece: &GlobPiece<'_>) -> bool {
    match piece {
        GlobPiece::Deep | GlobPiece::Directories => true,
        GlobPiece::Set(ranges) => holds(ranges, '/'),
        GlobPiece::Literal(_) | GlobPiece::One | GlobPiece::Run => false,
    }
}

fn holds(ranges: &[(char, char)], character: char) -> bool {
    ranges.iter().any(|(low, high)| (*low..=*high).contains(&character))
}

/// The pieces, and the same with the other spelling of the fixed part.
fn spellings<'a>(pieces: &[GlobPiece<'a>]) -> Vec<Vec<GlobPiece<'a>>> {
    let literal = |piece: &GlobPiece<'a>| match piece {
        GlobPiece::Literal(character) => Some(*character),
        _ => None,
    };
    let prefix: String = pieces.iter().map_while(literal).collect();
    // Only whole names count: `/tmp*` is no name.
    let whole =
        if prefix.chars().count() == pieces.len() { prefix.as_str() } else { prefix.rsplit_once('/').map_or("", |(whole, _)| whole) };
    let other = crate::policy::AbsPath::new(whole).and_then(|path| super::spelling::other(&path));
    let mut all = vec![pieces.to_vec()];
    if let Some(other) = other {
        let start = other.to_string().chars().map(GlobPiece::Literal).collect::<Vec<_>>();
        all.push(start.into_iter().chain(pieces[whole.chars().count()..].iter().copied()).collect());
    }
    all
}

/// How `missing` directories can be shared out among the variable pieces, each of which has so much room.
fn splits(missing: usize, room: &[usize]) -> Option<Vec<Vec<usize>>> {
    let mut done = vec![(Vec::new(), missing)];
    for (place, most) in room.iter().enumerate() {
        let last = place + 1 == room.len();
        let longer = |(split, left): &(Vec<usize>, usize)| {
            let (split, left) = (split.clone(), *left);
            let range = if last { left..=left } else { 0..=left };
            range.take_while(|share| share <= most).map(move |share| ([split.as_slice(), &[share]].concat(), left - share))
        };
        done = done.iter().flat_map(longer).collect();
        if done.len() > MAX_SPLITS {
            return None;
        }
    }
    // Where something is left over, nothing is as deep.
    Some(done.into_iter().filter(|(_, left)| *left == 0).map(|(split, _)| split).collect())
}

/// One expression; each variable piece takes at least its share of directories. `None` where a piece can match nothing.
fn body(pieces: &[GlobPiece<'_>], shares: &[usize], fit: Fit) -> Option<String> {
    let mut out = String::new();
    let mut shares = shares.iter().copied();
    for piece in pieces {
        let share = if is_variable(piece) { shares.next().unwrap_or(0) } else { 0 };
        match piece {
            GlobPiece::Literal(character) => push_literal(&mut out, *character),
            GlobPiece::One => out.push_str(&one("[^/]".to_owned(), fit)),
            GlobPiece::Set(_) if share == 1 => out.push('/'),
            GlobPiece::Set(ranges) => out.push_str(&set(ranges, fit)?),
            GlobPiece::Run => out.push_str("[^/]*"),
            GlobPiece::Deep => {
                out.push_str(&"[^/]*/".repeat(share));
                out.push_str(".*");
            }
            GlobPiece::Directories => {
                // Not always a whole name: in `/a**/b`, the rest of one.
                out.push_str(&"[^/]*/".repeat(share));
                out.push_str("(.*/)?");
            }
        }
    }
    Some(out)
}

/// An expression for one byte, made one for one character.
fn one(byte: String, fit: Fit) -> String {
    if fit == Fit::Wide { byte + REST_OF_CHARACTER } else { byte }
}

/// One member of a set. Characters that mean more between brackets stand beside them.
fn set(ranges: &[(char, char)], fit: Fit) -> Option<String> {
    let special = |character: char| matches!(character, ']' | '[' | '^' | '-' | '\\');
    let mut class = String::new();
    let mut choices = Vec::new();
    let mut next = 1u8;
    while next < 0x80 {
        let first = next;
        while next < 0x80 && holds(ranges, char::from(next)) {
            next += 1;
        }
        let mut run = (first..next).map(char::from).collect::<Vec<_>>();
        next += 1;
        while let Some(edge) = run.first().copied().filter(|edge| special(*edge)) {
            choices.push(escaped(&edge.to_string()));
            run.remove(0);
        }
        while let Some(edge) = run.last().copied().filter(|edge| special(*edge)) {
            choices.push(escaped(&edge.to_string()));
            run.pop();
        }
        match run.as_slice() {
            [] => {}
            [only] => class.push(*only),
            [first, .., last] => class.extend([*first, '-', *last]),
        }
    }
    if !class.is_empty() {
        choices.insert(0, format!("[{class}]"));
    }
    let beyond = ranges.iter().map(|(low, high)| ((*low).max('\u{80}'), *high)).filter(|(low, high)| low <= high);
    for (low, high) in beyond {
        match fit {
            Fit::Wide if choices.last().is_none_or(|last| !last.starts_with("[^")) => choices.push(one("[^ -~]".to_owned(), fit)),
            Fit::Narrow if u32::from(high) - u32::from(low) < MAX_LISTED => choices.extend((low..=high).map(String::from)),
            // Too many to list: not permitted. For a denial, covered already.
            _ => {}
        }
    }
    match choices.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        several => Some(format!("({})", several.join("|"))),
    }
}

/// Expressions for `below`, behind any of these starts and a `/`.
pub(super) fn behind(starts: &BTreeSet<String>, below: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut group: Vec<&str> = Vec::new();
    let written = |group: &[&str]| match group {
        [only] => format!("^{only}/{below}"),
        several => format!("^({})/{below}", several.join("|")),
    };
    for start in starts {
        // An empty choice is not understood everywhere.
        if start.is_empty() {
            found.push(written(&[""]));
            continue;
        }
        group.push(start);
        if group.len() > 1 && quoted(written(&group).as_bytes()).len() > MAX_STRING {
            group.pop();
            found.push(written(&group));
            group = vec![start];
        }
    }
    if !group.is_empty() {
        found.push(written(&group));
    }
    found
}

/// Where a match must end: at the end of the path, or of one of its directories.
pub(super) fn covering(body: &str) -> String {
    format!("^{body}(/|$)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(pattern: &str) -> Vec<String> {
        bodies(&Glob::compile(pattern), Fit::Wide)
    }

    #[test]
    fn tokens_have_their_expressions() {
        assert_eq!(wide("/a.b/*.c"), [r"/a\.b/[^/]*\.c"]);
        assert_eq!(wide("/w/**/.env"), [r"/w/(.*/)?\.env"]);
        assert_eq!(wide("/w/a**"), ["/w/a.*"]);
        assert_eq!(bodies(&Glob::compile("/w/?"), Fit::Narrow), ["/w/[^/]"]);
    }

    #[test]
    fn members_that_mean_more_between_brackets_stand_beside_them() {
        assert_eq!(wide("/w/[a-c9^-]"), [r"/w/([9a-c]|-|\^)"]);
        assert_eq!(wide(r"/w/[\]"), [r"/w/\\"]);
        assert_eq!(wide("/w/[Z-a]"), ["/w/[Z-a]"]);
    }

    #[test]
    fn characters_beside_ascii_are_widened_in_denials_and_listed_in_permissions() {
        assert_eq!(wide("/w/[é]"), ["/w/[^ -~][^ -~]?[^ -~]?[^ -~]?"]);
        assert_eq!(bodies(&Glob::compile("/w/[éü]"), Fit::Narrow), ["/w/(é|ü)"]);
        assert_eq!(bodies(&Glob::compile("/w/[\u{80}-\u{ffff}]"), Fit::Narrow), [""; 0]);
    }

    #[test]
    fn the_fixed_part_has_both_its_spellings() {
        assert_eq!(wide("/tmp/*.x"), [r"/tmp/[^/]*\.x", r"/private/tmp/[^/]*\.x"]);
        assert_eq!(wide("/tmp*/x").len(), 1);
    }

    #[test]
    fn starts_share_an_expression_as_long_as_it_is_short_enough() {
        let starts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(behind(&starts(&["/a"]), "x$"), ["^/a/x$"]);
        assert_eq!(behind(&starts(&["/a", "/b", ""]), "x$"), ["^/x$", "^(/a|/b)/x$"]);
        let long = starts(&[&"/a".repeat(200), &"/b".repeat(200), &"/c".repeat(200)]);
        assert_eq!(behind(&long, "x").iter().map(|text| text.matches('|').count()).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn matches_from_a_depth_on_can_be_told_apart() {
        let below = |pattern: &str, depth| bodies_below(&Glob::compile(pattern), depth, Fit::Wide).unwrap();
        assert_eq!(below("/w/**/x", 2), ["/w/(.*/)?x"]);
        assert_eq!(below("/w/**/x", 4), ["/w/[^/]*/[^/]*/(.*/)?x"]);
        assert_eq!(below("/w/*", 3), [""; 0]);
        assert_eq!(below("/**/a/**/b", 3).len(), 2);
        assert_eq!(bodies_below(&Glob::compile("/**/a/**/b/**/c/**/d"), 40, Fit::Wide), None);
    }
}

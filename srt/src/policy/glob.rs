//! Glob patterns over absolute paths.
//!
//! | Token | Matches |
//! |---|---|
//! | `*` | any run of characters without `/` |
//! | `**` | any run of characters |
//! | `**/` | zero or more whole directories |
//! | `?` | one character that is not `/` |
//! | `[set]` | one member; `a-z` is a range; `!`, `^` and `\` are members; a set may match `/` |
//!
//! Everything else stands for itself: there is no escape, no brace, no negation, no rule for dotfiles, and case counts. A set that is
//! unclosed, empty (`[]`) or holds a backwards range (`[user-id]`) is plain text. A trailing `/**` is dropped: it names the directory.
//!
//! A pattern comes from the user and a path from inside the sandbox, so matching must not take exponential time: the pattern becomes a
//! nondeterministic automaton without backtracking, and one match costs at most (length of the path × length of the pattern).

mod automaton;
mod parse;

use automaton::Automaton;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::AbsPath;

/// A compiled pattern. It matches single paths; whether a rule also covers what lies below a match is the caller's decision.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Glob {
    pattern: String,
    /// What stands before the first token that counts: whatever matches starts with it.
    prefix: Vec<u8>,
    automaton: Automaton,
}

/// One piece of a pattern, for whoever writes it in another language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobPiece<'a> {
    /// This character.
    Literal(char),
    /// One character that is not `/`.
    One,
    /// One character of these inclusive ranges; it may be `/`.
    Set(&'a [(char, char)]),
    /// Any characters without `/`.
    Run,
    /// Any characters.
    Deep,
    /// Zero or more whole directories, each with its `/`.
    Directories,
}

/// Does `text` hold a token that counts? A trailing `/**` does not: it only says "the directory"; see [`strip_subtree`].
pub fn is_glob(text: &str) -> bool {
    parse::tokens(strip_subtree(text)).iter().any(parse::Token::is_wild)
}

/// `text` without trailing `/**`; a lone `**` is the directory it stands in (`.`), and `/**` is `/`.
pub fn strip_subtree(text: &str) -> &str {
    let mut rest = text;
    while let Some(shorter) = rest.strip_suffix("/**") {
        rest = shorter;
    }
    match rest {
        "**" => ".",
        "" if !text.is_empty() => "/",
        _ => rest,
    }
}

impl Glob {
    /// Compiles an absolute pattern. It is normalised as a path is (`.`, `..`, doubled and trailing slashes), so that spelling cannot make
    /// it miss; a relative pattern is taken from `/`.
    pub fn compile(pattern: &str) -> Glob {
        let normal = AbsPath::resolve(&AbsPath::root(), Path::new(strip_subtree(pattern)));
        let pattern = strip_subtree(&normal.to_string()).to_owned();
        let tokens = parse::tokens(&pattern);
        Glob { prefix: parse::literal_prefix(&tokens), automaton: Automaton::compile(&tokens), pattern }
    }

    /// Compiles `pattern`, taken from the directory `base`. Characters of `base` are plain text, whatever they are, and so are bytes that are none.
    pub fn below(base: &AbsPath, pattern: &str) -> Glob {
        let relative = AbsPath::resolve(&AbsPath::root(), Path::new(strip_subtree(pattern))).to_string();
        let (directory, relative) = match (base.depth(), strip_subtree(&relative)) {
            (0, relative) => (&b""[..], relative),
            // The pattern leads back to the directory itself.
            (_, "/") => (base.as_bytes(), ""),
            (_, relative) => (base.as_bytes(), relative),
        };
        let mut tokens = parse::plain(directory);
        tokens.extend(parse::tokens(relative));
        let pattern = format!("{}{relative}", String::from_utf8_lossy(directory));
        Glob { prefix: parse::literal_prefix(&tokens), automaton: Automaton::compile(&tokens), pattern }
    }

    /// The pattern, normalised; for people, because a directory before it may hold bytes that are no text.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whatever matches, at or above `path`, is at least as long as the text before the first wildcard, so `path` starts with that.
    pub(super) fn could_cover(&self, path: &AbsPath) -> bool {
        path.as_bytes().starts_with(&self.prefix)
    }

    /// Does the pattern match exactly this path?
    pub fn matches(&self, path: &AbsPath) -> bool {
        path.as_bytes().starts_with(&self.prefix) && self.automaton.run(path.as_bytes()).accepts()
    }

    /// The pattern, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = GlobPiece<'_>> {
        self.automaton.pieces()
    }

    /// The longest leading directory without wildcards; the whole pattern where it has none.
    pub fn literal_base(&self) -> AbsPath {
        let directory = self.prefix.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let base = if self.automaton.is_plain() { &self.prefix[..] } else { &self.prefix[..directory] };
        AbsPath::resolve(&AbsPath::root(), Path::new(OsStr::from_bytes(base)))
    }

    /// What follows the directory without wildcards, where that begins with `**/`: it matches at any depth.
    pub(super) fn any_depth(&self) -> Option<&str> {
        let rest = self.pattern.strip_prefix(&*String::from_utf8_lossy(&self.prefix))?;
        (self.prefix.ends_with(b"/") && rest.starts_with("**"))
            .then(|| rest.trim_start_matches('*'))
            .filter(|rest| rest.starts_with('/'))
            .map(|_| rest)
    }

    /// May a path strictly below `dir` match? Exact, so a walk that skips where this says no misses nothing.
    pub fn could_match_below(&self, dir: &AbsPath) -> bool {
        self.states_below(dir).wants_more()
    }

    /// Where the automaton stands at the first character of a path below `dir`.
    pub(super) fn states_below(&self, dir: &AbsPath) -> automaton::States<'_> {
        let mut states = self.automaton.run(dir.as_bytes());
        if dir.depth() > 0 {
            states.feed(b"/");
        }
        states
    }

    /// Would every path that matches below `dir` match below any directory beside it, or deeper, because of a `**` that was reached above?
    pub(super) fn is_place_independent(&self, dir: &AbsPath) -> bool {
        dir.parent().is_some_and(|parent| self.states_below(dir).is_within(&self.states_below(&parent).loops_alone()))
    }
}

#[cfg(test)]
mod tests;

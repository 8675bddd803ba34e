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

use std::path::Path;

use super::AbsPath;

/// A compiled pattern. It matches single paths; whether a rule also covers what lies below a match is the caller's decision.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Glob {
    pattern: String,
    /// The text before the first token that counts: whatever matches starts with it.
    prefix: String,
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

    /// Compiles `pattern`, taken from the directory `base`. Characters of `base` are plain text, whatever they are.
    pub fn below(base: &AbsPath, pattern: &str) -> Glob {
        let relative = AbsPath::resolve(&AbsPath::root(), Path::new(strip_subtree(pattern))).to_string();
        let directory = if base.depth() == 0 { String::new() } else { base.to_string() };
        let mut tokens: Vec<parse::Token> = directory.chars().map(parse::Token::Literal).collect();
        tokens.extend(parse::tokens(strip_subtree(&relative)));
        let pattern = format!("{directory}{}", strip_subtree(&relative));
        Glob { prefix: parse::literal_prefix(&tokens), automaton: Automaton::compile(&tokens), pattern }
    }

    /// The pattern, normalised.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whatever matches, at or above `path`, is at least as long as the text before the first wildcard, so `path` starts with that.
    pub(super) fn could_cover(&self, path: &AbsPath) -> bool {
        path.as_bytes().starts_with(self.prefix.as_bytes())
    }

    /// Does the pattern match exactly this path?
    pub fn matches(&self, path: &AbsPath) -> bool {
        path.as_bytes().starts_with(self.prefix.as_bytes()) && self.automaton.run(path.as_bytes()).accepts()
    }

    /// The pattern, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = GlobPiece<'_>> {
        self.automaton.pieces()
    }

    /// The longest leading directory without wildcards; the whole pattern where it has none.
    pub fn literal_base(&self) -> AbsPath {
        let base = if self.prefix.len() == self.pattern.len() {
            self.prefix.as_str()
        } else {
            self.prefix.rsplit_once('/').map_or("/", |(directory, _)| directory)
        };
        AbsPath::resolve(&AbsPath::root(), Path::new(base))
    }

    /// What follows the directory without wildcards, where that begins with `**/`: it matches at any depth.
    pub(super) fn any_depth(&self) -> Option<&str> {
        let rest = &self.pattern[self.prefix.len()..];
        (self.prefix.ends_with('/') && rest.starts_with("**"))
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

    /// Would every path that matches below `dir` match below any directory of the same depth or deeper, because a `**` has been reached?
    pub(super) fn is_place_independent(&self, dir: &AbsPath) -> bool {
        let above = dir.parent().map(|parent| self.states_below(&parent).in_a_loop());
        above.unwrap_or(false) && self.states_below(dir).only_loops()
    }
}

#[cfg(test)]
mod tests;

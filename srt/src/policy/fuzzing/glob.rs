//! Patterns against their definition, read another way.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::policy::{AbsPath, Glob};

/// `pattern NUL path NUL directory NUL other directory`. The definition takes the square of the sizes.
pub(crate) fn glob(data: &[u8]) {
    if data.len() > 512 {
        return;
    }
    let mut parts = data.split(|byte| *byte == 0);
    let pattern = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let mut path = || absolute(parts.next().unwrap_or_default());
    let (path, one, other) = (path(), path(), path());
    let glob = Glob::compile(&pattern);
    matching_is_as_defined(&glob, &path);
    spelling_does_not_matter(&glob, &path);
    pruning_loses_nothing(&glob, &path);
    a_base_is_plain_text(&pattern, &one, &path);
    directories_are_compared_rightly(&glob, &path, &one, &other);
}

fn absolute(bytes: &[u8]) -> AbsPath {
    AbsPath::new(OsStr::from_bytes(&[b"/", bytes].concat())).expect("absolute and without NUL")
}

fn joined(directory: &AbsPath, path: &AbsPath) -> AbsPath {
    absolute(&[directory.as_bytes(), path.as_bytes()].concat())
}

fn matching_is_as_defined(glob: &Glob, path: &AbsPath) {
    let expected = Definition::new(glob.as_str(), path.as_bytes()).matches(0, 0);
    assert_eq!(glob.matches(path), expected, "{:?} and {path:?}", glob.as_str());
}

fn spelling_does_not_matter(glob: &Glob, path: &AbsPath) {
    let again = Glob::compile(glob.as_str());
    assert_eq!(again.as_str(), glob.as_str());
    assert_eq!(again.matches(path), glob.matches(path), "{:?} and {path:?}", glob.as_str());
}

fn pruning_loses_nothing(glob: &Glob, path: &AbsPath) {
    if !glob.matches(path) {
        return;
    }
    assert!(path.is_within(&glob.literal_base()), "{:?} and {path:?}", glob.as_str());
    for ancestor in path.ancestors().skip(1) {
        assert!(glob.could_match_below(&ancestor), "{:?} below {ancestor:?}, because of {path:?}", glob.as_str());
    }
    assert!(glob.could_cover(path) && glob.could_cover(&path.join("below")));
}

/// A pattern below a directory matches there what it matches below the root, whatever the directory is called. The root itself ends in the slash that others have before
/// the next name.
fn a_base_is_plain_text(pattern: &str, base: &AbsPath, path: &AbsPath) {
    if path.depth() == 0 {
        return;
    }
    let (glob, alone) = (Glob::below(base, pattern), Glob::compile(&format!("/{pattern}")));
    assert_eq!(glob.matches(&joined(base, path)), alone.matches(path), "{pattern:?} below {base:?} and {path:?}");
}

fn directories_are_compared_rightly(glob: &Glob, path: &AbsPath, one: &AbsPath, other: &AbsPath) {
    let below = |directory: &AbsPath| path.depth() > 0 && glob.matches(&joined(directory, path));
    if glob.is_same_below(one, other) {
        assert_eq!(below(one), below(other), "{:?}: {path:?} below {one:?} and {other:?}", glob.as_str());
    }
    // Elsewhere beside it, and deeper.
    let (Some(parent), true) = (one.parent(), below(one)) else { return };
    for elsewhere in [parent.join("q"), parent.join("q").join("r")] {
        let is_same = !glob.is_place_independent(one) || below(&elsewhere);
        assert!(is_same, "{:?}: {path:?} below {one:?}, but not below {elsewhere:?}", glob.as_str());
    }
}

/// The definition of the tokens, tried at every place, each pair of places once.
struct Definition {
    pattern: Vec<char>,
    /// Bytes that are no text are `None`.
    text: Vec<Option<char>>,
    known: HashMap<(usize, usize), bool>,
}

impl Definition {
    fn new(pattern: &str, text: &[u8]) -> Self {
        let units = text.utf8_chunks().flat_map(|chunk| {
            let valid: Vec<_> = chunk.valid().chars().map(Some).collect();
            valid.into_iter().chain(std::iter::repeat_n(None, chunk.invalid().len()))
        });
        Definition { pattern: pattern.chars().collect(), text: units.collect(), known: HashMap::new() }
    }

    fn matches(&mut self, at: usize, from: usize) -> bool {
        if let Some(known) = self.known.get(&(at, from)) {
            return *known;
        }
        let found = self.find(at, from);
        self.known.insert((at, from), found);
        found
    }

    fn find(&mut self, at: usize, from: usize) -> bool {
        let Some(first) = self.pattern.get(at).copied() else { return from == self.text.len() };
        if first == '*' {
            return self.stars(at, from);
        }
        let unit = self.text.get(from).copied();
        match first {
            '?' => unit.is_some_and(|unit| unit != Some('/')) && self.matches(at + 1, from + 1),
            '[' => match self.set(at) {
                Some((members, end)) => unit.flatten().is_some_and(|unit| has(&members, unit)) && self.matches(end, from + 1),
                None => self.plain(at, from),
            },
            literal => unit == Some(Some(literal)) && self.matches(at + 1, from + 1),
        }
    }

    /// Two or more stars are `**`.
    fn stars(&mut self, at: usize, from: usize) -> bool {
        let count = self.pattern[at..].iter().take_while(|star| **star == '*').count();
        let slash = self.pattern.get(at + count) == Some(&'/');
        for end in from..=self.text.len() {
            let run = &self.text[from..end];
            let (fits, next) = match count {
                1 if run.contains(&Some('/')) => return false,
                1 => (true, at + 1),
                _ if slash => (run.last().is_none_or(|last| *last == Some('/')), at + count + 1),
                _ => (true, at + count),
            };
            if fits && self.matches(next, end) {
                return true;
            }
        }
        false
    }

    /// The members of a set that is one, and where the pattern goes on.
    fn set(&self, at: usize) -> Option<(Vec<char>, usize)> {
        let length = self.pattern[at..].iter().position(|character| *character == ']')?;
        let members = self.pattern[at + 1..at + length].to_vec();
        let backwards = ranges(&members).iter().any(|(low, high)| low > high);
        (!members.is_empty() && !backwards).then_some((members, at + length + 1))
    }

    /// A bracket that begins no set is text, up to its end where it has one.
    fn plain(&mut self, at: usize, from: usize) -> bool {
        let length = self.pattern[at..].iter().position(|character| *character == ']').map_or(1, |end| end + 1);
        let wanted: Vec<_> = self.pattern[at..at + length].iter().copied().map(Some).collect();
        self.text.get(from..from + length).is_some_and(|text| text == wanted) && self.matches(at + length, from + length)
    }
}

/// `a-z`, with members on both sides; anything else is its own range.
fn ranges(members: &[char]) -> Vec<(char, char)> {
    match members {
        [] => Vec::new(),
        [low, '-', high, rest @ ..] => [vec![(*low, *high)], ranges(rest)].concat(),
        [member, rest @ ..] => [vec![(*member, *member)], ranges(rest)].concat(),
    }
}

fn has(members: &[char], character: char) -> bool {
    ranges(members).iter().any(|(low, high)| *low <= character && character <= *high)
}

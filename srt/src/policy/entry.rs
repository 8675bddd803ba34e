//! One entry of a path list, made absolute.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::AbsPath;
use super::glob::{Glob, is_glob, strip_subtree};
use super::lookup::PathLookup;
use crate::host::Facts;
use crate::settings::{PathEntry, Piece, pieces};

/// An entry with variables, `~` and the working directory put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The entry as one path, every character meant as it is.
    pub(super) path: AbsPath,
    /// The entry as a pattern, where it has glob characters.
    pub(super) pattern: Option<Pattern>,
    /// It ends in `/`: a directory, which may be made where it is missing.
    pub(super) directory: bool,
}

/// A pattern below a directory: the directory is plain text, whatever characters it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    base: AbsPath,
    below: String,
}

impl Pattern {
    /// The directory, as written.
    pub(super) fn base(&self) -> &AbsPath {
        &self.base
    }

    /// Compiles the pattern below the real path of its directory.
    ///
    /// # Errors
    /// The directory cannot be resolved.
    pub(super) fn compile(&self, lookup: &dyn PathLookup) -> io::Result<Glob> {
        Ok(Glob::below(&lookup.real_path(&self.base)?.path, &self.below))
    }
}

/// Why an entry means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryError {
    /// `~` without a home directory.
    NoHome,
    /// `~name`, which shells read as another user's home directory.
    OtherHome,
    /// `${NAME}` is not set and has no default.
    Unset(String),
    /// `${` without an end, or a bad name.
    BadVariable(String),
    /// A variable in the middle of an entry has a value with characters that would make the entry a pattern.
    PatternInVariable(String),
    /// It holds a NUL byte.
    Nul,
    /// `$NAME` without braces, as a shell would read it.
    BareVariable,
    /// A URL.
    Url,
    /// White space at an end.
    Blank,
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryError::NoHome => f.write_str("there is no home directory"),
            EntryError::OtherHome => f.write_str("~ means your own home directory only; ./~… is a name that starts so"),
            EntryError::Unset(name) => write!(f, "the environment variable {name} is not set; ${{{name}:-default}} gives a default"),
            EntryError::BadVariable(cause) => f.write_str(cause),
            EntryError::PatternInVariable(name) => write!(f, "the value of {name} holds glob characters"),
            EntryError::Nul => f.write_str("it holds a NUL byte"),
            EntryError::BareVariable => {
                f.write_str("a variable is written ${NAME}; a name with a $ in it needs {\"path\": …, \"literal\": true}")
            }
            EntryError::Url => f.write_str("it is a URL, not a path"),
            EntryError::Blank => {
                f.write_str("it has white space at an end; a name with such an end needs {\"path\": …, \"literal\": true}")
            }
        }
    }
}

impl Entry {
    /// Puts in variables, `~` and the working directory.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub(super) fn expand(entry: &PathEntry, facts: &Facts) -> Result<Entry, EntryError> {
        if entry.literal {
            let (start, rest) = anchor(OsStr::new(&entry.text), facts)?;
            return Ok(Entry { path: AbsPath::resolve(&start, Path::new(&rest)), pattern: None, directory: false });
        }
        check_mistakes(&entry.text)?;
        let (start, rest) = expand_variables(&entry.text, facts)?;
        let patterned = strip_subtree(&rest);
        let pattern = is_glob(patterned).then(|| split_pattern(&start, patterned));
        // `dir/**` is the directory. A value of a variable may have been the whole entry.
        let path = if rest.is_empty() { start } else { AbsPath::resolve(&start, Path::new(patterned)) };
        Ok(Entry { path, pattern, directory: entry.text.ends_with('/') })
    }
}

/// What was surely meant otherwise, and would be a rule about a path that never exists.
fn check_mistakes(text: &str) -> Result<(), EntryError> {
    let bare = |(at, _): (usize, &str)| text[at + 1..].starts_with(|next: char| next.is_ascii_alphabetic() || next == '_');
    match () {
        () if text.trim() != text => Err(EntryError::Blank),
        () if text.contains("://") => Err(EntryError::Url),
        () if text.match_indices('$').any(bare) => Err(EntryError::BareVariable),
        () => Ok(()),
    }
}

/// The directory that a text starts from, and what follows it.
fn anchor(text: &OsStr, facts: &Facts) -> Result<(AbsPath, OsString), EntryError> {
    let bytes = text.as_bytes();
    let below = |from: usize| OsStr::from_bytes(&bytes[from..]).to_owned();
    match bytes {
        _ if bytes.contains(&0) => Err(EntryError::Nul),
        [b'~'] => Ok((facts.home.clone().ok_or(EntryError::NoHome)?, OsString::new())),
        [b'~', b'/', ..] => {
            Ok((facts.home.clone().ok_or(EntryError::NoHome)?, below(bytes.iter().skip(1).take_while(|byte| **byte == b'/').count() + 1)))
        }
        [b'~', ..] => Err(EntryError::OtherHome),
        [b'/', ..] => Ok((AbsPath::root(), below(bytes.iter().take_while(|byte| **byte == b'/').count()))),
        _ => Ok((facts.cwd.clone(), text.to_owned())),
    }
}

/// `${NAME}` and `${NAME:-default}`. A variable at the start gives the directory that the rest is below: its characters are plain text, for they come from the
/// environment and not from the settings.
fn expand_variables(text: &str, facts: &Facts) -> Result<(AbsPath, String), EntryError> {
    let pieces = pieces(text).map_err(EntryError::BadVariable)?;
    if let [Piece::Variable { .. }, rest @ ..] = pieces.as_slice() {
        let behind = plain(rest, facts)?;
        if behind.is_empty() || behind.starts_with('/') {
            let (start, below) = anchor(&value(&pieces[0], facts)?, facts)?;
            return Ok((AbsPath::resolve(&start, Path::new(&below)), behind.trim_start_matches('/').to_owned()));
        }
    }
    let (start, rest) = anchor(OsStr::new(&plain(&pieces, facts)?), facts)?;
    Ok((start, rest.to_string_lossy().into_owned()))
}

/// Text and values joined; the values must not turn the text into a pattern.
fn plain(pieces: &[Piece<'_>], facts: &Facts) -> Result<String, EntryError> {
    let mut out = String::new();
    for piece in pieces {
        let text = value(piece, facts)?;
        if let Piece::Variable { name, .. } = piece
            && (text.to_str().is_none_or(is_glob))
        {
            return Err(EntryError::PatternInVariable((*name).to_owned()));
        }
        out.push_str(&text.to_string_lossy());
    }
    Ok(out)
}

fn value(piece: &Piece<'_>, facts: &Facts) -> Result<OsString, EntryError> {
    match piece {
        Piece::Text(text) => Ok(OsString::from(text)),
        Piece::Variable { name, default } => {
            let value = facts.var(name).or(default.map(OsStr::new));
            value.map(OsStr::to_owned).ok_or_else(|| EntryError::Unset((*name).to_owned()))
        }
    }
}

/// Moves the leading components without glob characters into the directory.
fn split_pattern(start: &AbsPath, text: &str) -> Pattern {
    let mut base = start.clone();
    let mut rest = text;
    while let Some((first, after)) = rest.split_once('/') {
        // A lone `**` names a directory where it ends an entry; here more follows, so it is a pattern.
        if first.contains("**") || is_glob(first) {
            break;
        }
        base = AbsPath::resolve(&base, Path::new(first));
        rest = after;
    }
    Pattern { base, below: rest.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let path = |text: &str| AbsPath::new(text).unwrap();
        let env = [("CACHE", "/c/[a]"), ("NAME", "n"), ("STAR", "*"), ("EMPTY", "")];
        Facts {
            uid: 1,
            gid: 1,
            home: Some(path("/home/ada")),
            cwd: path("/w"),
            env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            private_tmp: path("/tmp/srt-1/0"),
            terminal: false,
            platform: crate::host::Platform::Linux,
            namespaces: true,
        }
    }

    fn expand(text: &str) -> Result<Entry, EntryError> {
        Entry::expand(&PathEntry { text: text.to_owned(), literal: false }, &facts())
    }

    fn path_of(text: &str) -> String {
        expand(text).unwrap().path.to_string()
    }

    #[test]
    fn entries_start_at_the_root_at_home_or_in_the_working_directory() {
        assert_eq!(path_of("//a/./b/"), "/a/b");
        assert_eq!(path_of("~"), "/home/ada");
        assert_eq!(path_of("~//x"), "/home/ada/x");
        assert_eq!(path_of("x/../y"), "/w/y");
        assert_eq!(path_of("."), "/w");
        assert_eq!(path_of("x/**"), "/w/x");
        assert_eq!(expand("~bob/x"), Err(EntryError::OtherHome));
    }

    #[test]
    fn variables_give_plain_text() {
        let entry = expand("${CACHE}/x").unwrap();
        assert_eq!((entry.path.to_string().as_str(), entry.pattern), ("/c/[a]/x", None));
        assert_eq!(path_of("a-${NAME}/b"), "/w/a-n/b");
        assert_eq!(path_of("${MISSING:-~/.cargo}/registry/"), "/home/ada/.cargo/registry");
        assert_eq!(path_of("${EMPTY:-/d}"), "/d");
        assert_eq!(expand("${MISSING}/x"), Err(EntryError::Unset("MISSING".to_owned())));
        assert_eq!(expand("x/${STAR}"), Err(EntryError::PatternInVariable("STAR".to_owned())));
        assert!(matches!(expand("${"), Err(EntryError::BadVariable(_))));
    }

    #[test]
    fn entries_that_were_surely_meant_otherwise_are_refused() {
        assert_eq!(expand("$HOME/.ssh"), Err(EntryError::BareVariable));
        assert_eq!(expand("file:///etc"), Err(EntryError::Url));
        assert_eq!(expand(" /etc"), Err(EntryError::Blank));
        assert_eq!(path_of("/a/cost-5$"), "/a/cost-5$");
    }

    #[test]
    fn a_pattern_is_taken_from_its_plain_directory() {
        let entry = expand("${CACHE}/sub/*.pem").unwrap();
        let pattern = entry.pattern.unwrap();
        assert_eq!((pattern.base.to_string().as_str(), pattern.below.as_str()), ("/c/[a]/sub", "*.pem"));
    }

    #[test]
    fn a_double_star_at_the_start_is_a_pattern() {
        for (text, base, below) in [("**/.env", "/w", "**/.env"), ("/x/**/*.key", "/x", "**/*.key"), ("/x/a**/k", "/x", "a**/k")] {
            let pattern = expand(text).unwrap().pattern.unwrap();
            assert_eq!((pattern.base.to_string().as_str(), pattern.below.as_str()), (base, below), "{text}");
        }
    }

    #[test]
    fn a_trailing_slash_names_a_directory() {
        assert!(expand("x/").unwrap().directory);
        assert!(!expand("x").unwrap().directory);
    }

    #[test]
    fn literal_entries_have_no_special_characters() {
        let entry = PathEntry { text: "a*${X}".to_owned(), literal: true };
        assert_eq!(Entry::expand(&entry, &facts()).unwrap().path.to_string(), "/w/a*${X}");
    }
}

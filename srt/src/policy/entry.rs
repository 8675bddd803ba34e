//! One entry of a path list, made absolute.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use super::AbsPath;
use super::glob::{Glob, is_glob, strip_subtree};
use super::lookup::PathLookup;
use crate::host::Facts;
use crate::settings::PathEntry;

/// An entry with variables, `~` and the working directory put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The entry as one path, every character meant as it is.
    pub path: AbsPath,
    /// The entry as a pattern, where it has glob characters.
    pub pattern: Option<Pattern>,
}

/// A pattern below a directory: the directory is plain text, whatever characters it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    base: AbsPath,
    below: String,
}

impl Pattern {
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
    /// `${NAME}` is not set and has no default.
    Unset(String),
    /// `${` without an end, or a bad name.
    BadVariable,
    /// NUL, or not absolute after all.
    NotAPath,
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryError::NoHome => f.write_str("there is no home directory"),
            EntryError::Unset(name) => write!(f, "the environment variable {name} is not set; ${{{name}:-default}} gives a default"),
            EntryError::BadVariable => f.write_str("a variable is written ${NAME} or ${NAME:-default}"),
            EntryError::NotAPath => f.write_str("it is not a path"),
        }
    }
}

impl Entry {
    /// Puts in variables, `~` and the working directory.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub(super) fn expand(entry: &PathEntry, facts: &Facts) -> Result<Entry, EntryError> {
        let expanded = if entry.literal { OsString::from(&entry.text) } else { expand_variables(&entry.text, facts)? };
        let (start, rest) = anchor(&expanded, facts)?;
        if expanded.as_bytes().contains(&0) {
            return Err(EntryError::NotAPath);
        }
        let patterned = rest.to_str().filter(|_| !entry.literal).map(strip_subtree);
        let pattern = patterned.filter(|text| is_glob(text)).map(|text| split_pattern(&start, text));
        // `dir/**` is the directory.
        let path = AbsPath::resolve(&start, patterned.map_or(Path::new(&rest), Path::new));
        Ok(Entry { path, pattern })
    }
}

/// The directory that the entry starts from, and what follows it.
fn anchor(text: &OsString, facts: &Facts) -> Result<(AbsPath, OsString), EntryError> {
    let bytes = text.as_bytes();
    if bytes == b"~" || bytes.starts_with(b"~/") {
        // `~` is the home directory also in literal entries, as in the npm program; `literal` switches off patterns.
        let home = facts.home.clone().ok_or(EntryError::NoHome)?;
        return Ok((home, OsString::from_vec(bytes[1..].iter().copied().skip_while(|byte| *byte == b'/').collect())));
    }
    if bytes.first() == Some(&b'/') {
        return Ok((AbsPath::root(), OsString::from_vec(bytes.iter().copied().skip_while(|byte| *byte == b'/').collect())));
    }
    Ok((facts.cwd.clone(), text.clone()))
}

/// Moves the leading components without glob characters into the directory.
fn split_pattern(start: &AbsPath, text: &str) -> Pattern {
    let mut base = start.clone();
    let mut rest = text;
    while let Some((first, after)) = rest.split_once('/') {
        if is_glob(first) {
            break;
        }
        base = AbsPath::resolve(&base, Path::new(first));
        rest = after;
    }
    Pattern { base, below: rest.to_owned() }
}

/// `${NAME}` and `${NAME:-default}`; a default may itself start with `~`. Values are taken as they are: not expanded again.
fn expand_variables(text: &str, facts: &Facts) -> Result<OsString, EntryError> {
    let mut out = OsString::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push(before);
        let (inside, tail) = after.split_once('}').ok_or(EntryError::BadVariable)?;
        let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            return Err(EntryError::BadVariable);
        }
        match (facts.var(name), default) {
            (Some(value), _) => out.push(value),
            (None, Some(default)) => out.push(default),
            (None, None) => return Err(EntryError::Unset(name.to_owned())),
        }
        rest = tail;
    }
    out.push(rest);
    Ok(out)
}

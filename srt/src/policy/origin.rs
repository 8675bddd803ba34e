//! Where a rule came from.
//!
//! Every rule keeps its origin from the settings reader to the message that a user reads: a denial that cannot name the
//! line behind it cannot be corrected.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a text: both numbers count from 1; `column` counts characters, not bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The source of one rule or setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// srt itself; the text names the built-in table or default, for instance `protected names`.
    BuiltIn(&'static str),
    /// An embedded preset (`profiles/NAME.json`).
    Profile {
        /// Name of the preset.
        name: Arc<str>,
        /// Place in the preset.
        at: Position,
    },
    /// A settings file.
    File {
        /// The file, as the user named it.
        path: Arc<Path>,
        /// Place in the file.
        at: Position,
    },
    /// A command-line option, with its dashes: `--allow-write`.
    Flag(&'static str),
    /// An environment variable of the caller, for instance `HTTPS_PROXY`.
    Environment(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::BuiltIn(what) => write!(f, "built-in {what}"),
            Origin::Profile { name, at } => write!(f, "profile {name}:{at}"),
            Origin::File { path, at } => write!(f, "{}:{at}", path.display()),
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// A value and the place it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// What was said.
    pub value: T,
    /// Where it was said.
    pub origin: Origin,
}

impl<T> Located<T> {
    /// Pairs a value with its origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Located { value, origin }
    }
}

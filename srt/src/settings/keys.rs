//! Every key that settings may hold, once: what it holds, what srt does with it, and why.
//!
//! The reader is driven by this table, so that a key cannot be accepted and then forgotten. `srt schema` and the reference in
//! `docs/settings.md` follow it.

mod credentials;
mod filesystem;
mod network;
mod npm;
mod root;

use std::fmt;

use super::field::Field;
use super::model::Settings;
use crate::policy::DomainList;

/// All keys, table by table.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    [root::KEYS, network::KEYS, filesystem::KEYS, credentials::KEYS, npm::KEYS].into_iter().flatten()
}

/// An object that keys stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// The whole file.
    Root,
    /// `network`.
    Network,
    /// `network.parentProxy`.
    ParentProxy,
    /// `network.mitmProxy`.
    MitmProxy,
    /// `filesystem`.
    Filesystem,
    /// `credentials`.
    Credentials,
    /// One of `credentials.files`.
    CredentialFile,
    /// One of `credentials.envVars`.
    CredentialVariable,
    /// `git`.
    Git,
    /// `violations`.
    Violations,
    /// `ripgrep`.
    Ripgrep,
    /// `seccomp`.
    Seccomp,
    /// An entry of a path list, where it is an object.
    PathEntry,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands.
    pub table: Table,
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// What srt does with it.
    pub handling: Handling,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// A value that is accepted, or that is refused for its effect alone; JSON.
    pub example: &'static str,
}

/// What srt does with a key.
#[derive(Clone, Copy, Debug)]
pub enum Handling {
    /// It goes into the settings.
    Served(Reader),
    /// It goes into the settings and has an effect on macOS; a remark says why it has none elsewhere.
    OnMacOs(Reader, &'static str),
    /// It belongs to an object that is read as a whole.
    Part,
    /// Its type is checked, and a remark says why it has no effect.
    Said(&'static str),
    /// It cannot be served yet; the text says what it would need.
    Refused(&'static str),
    /// `true` cannot be served yet; `false` asks for nothing.
    TrueRefused(&'static str),
    /// Accepted without a word: it is not for programs like this one.
    Ignored,
}

/// Puts one value into the settings.
#[derive(Clone, Copy, Debug)]
pub struct Reader(pub(super) fn(&mut Field<'_, '_, '_>, &mut Settings));

/// One row.
const fn key(table: Table, name: &'static str, shape: Shape, handling: Handling, example: &'static str, meaning: &'static str) -> Key {
    Key { table, name, shape, handling, meaning, example }
}

/// The handling of a key that goes into the settings.
const fn served(read: fn(&mut Field<'_, '_, '_>, &mut Settings)) -> Handling {
    Handling::Served(Reader(read))
}

/// The handling of a key that goes into the settings and has an effect on macOS only.
const fn on_macos(why_not_here: &'static str, read: fn(&mut Field<'_, '_, '_>, &mut Settings)) -> Handling {
    Handling::OnMacOs(Reader(read), why_not_here)
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Bool,
    /// A text; it may be empty.
    Text,
    /// A text that starts with `/`.
    AbsolutePath,
    /// A whole number from the first to the second.
    Integer(u64, u64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of paths: texts, or `{ "path": …, "literal": true }`.
    Paths,
    /// A list of domain entries.
    Domains(DomainList),
    /// A list of addresses and CIDR blocks.
    Addresses,
    /// A list of HTTP header names.
    HeaderNames,
    /// A list of TCP ports.
    Ports,
    /// A list of Mach service names, each perhaps with one `*` at the end.
    MachNames,
    /// An object of texts.
    TextMap,
    /// An object of lists of texts.
    TextsMap,
    /// An object with the keys of this table.
    Object(Table),
    /// A list of objects with the keys of this table.
    Objects(Table),
    /// Not looked at.
    Any,
}

impl Table {
    /// The path of the object, as messages show it; empty for the whole file.
    pub fn path(self) -> &'static str {
        match self {
            Table::Root => "",
            Table::Network => "network",
            Table::ParentProxy => "network.parentProxy",
            Table::MitmProxy => "network.mitmProxy",
            Table::Filesystem => "filesystem",
            Table::Credentials => "credentials",
            Table::CredentialFile => "credentials.files[]",
            Table::CredentialVariable => "credentials.envVars[]",
            Table::Git => "git",
            Table::Violations => "violations",
            Table::Ripgrep => "ripgrep",
            Table::Seccomp => "seccomp",
            Table::PathEntry => "path entry",
        }
    }

    /// Its keys.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        keys().filter(move |key| key.table == self)
    }

    /// The key of this name.
    pub(super) fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// The key whose name is nearest to `name`, where one is near.
    pub(super) fn nearest(self, name: &str) -> Option<&'static str> {
        // A typing mistake, not another word: half of the letters may differ, and nobody mistypes 64 letters.
        let near = |key: &&Key| strsim::damerau_levenshtein(&key.name.to_lowercase(), &name.to_lowercase());
        let short = name.len() <= 64;
        let best = self.keys().filter(|_| short).min_by_key(near)?;
        (near(&best) * 2 <= best.name.len().min(name.len())).then_some(best.name)
    }
}

impl Key {
    /// The whole path: `network.allowedDomains`.
    pub fn path(&self) -> String {
        match self.table {
            Table::Root => self.name.into(),
            table => format!("{}.{}", table.path(), self.name),
        }
    }
}

/// As a sentence goes on after "must be".
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Bool => f.write_str("true or false"),
            Shape::Text => f.write_str("a string"),
            Shape::AbsolutePath => f.write_str("an absolute path"),
            Shape::Integer(low, high) => write!(f, "a whole number from {low} to {high}"),
            Shape::OneOf(words) => write!(f, "one of \"{}\"", words.join("\", \"")),
            Shape::Texts | Shape::HeaderNames | Shape::MachNames => f.write_str("a list of strings"),
            Shape::Paths => f.write_str("a list of paths"),
            Shape::Domains(_) => f.write_str("a list of domain entries"),
            Shape::Addresses => f.write_str("a list of addresses or CIDR blocks"),
            Shape::Ports => f.write_str("a list of ports"),
            Shape::TextMap => f.write_str("an object of strings"),
            Shape::TextsMap => f.write_str("an object of lists of strings"),
            Shape::Object(_) => f.write_str("an object"),
            Shape::Objects(_) => f.write_str("a list of objects"),
            Shape::Any => f.write_str("any value"),
        }
    }
}

#[cfg(test)]
mod tests;

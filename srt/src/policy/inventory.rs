//! What exists of what the rules name, as far as mounts need to know.
//!
//! Rules speak of names, mounts of objects. The inventory is the list of objects that the rules of a run reach at its start, taken once, so that
//! the plan can be built from it without asking the file system again.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::lookup::FileKind;
use super::{AbsPath, Origin};

/// Existing objects that rules name.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Real paths at which the answer of the policy may differ from that of the directory above.
    pub points: BTreeMap<AbsPath, Point>,
    /// Entries of directories that are hidden but hold something that is not.
    pub listings: BTreeMap<AbsPath, Vec<Entry>>,
    /// Directories that are made for the run, because an entry that ends in `/` allows writing in them.
    pub to_make: Vec<AbsPath>,
    /// Rules that name what does not exist, or patterns: mounts cannot express them.
    pub by_name_only: Vec<NameRule>,
}

/// An existing object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Directory or not.
    pub kind: FileKind,
    /// It must stay where it is: something below it is denied, and moving it away would free the name.
    pub pinned: bool,
    /// Names in it may be written though it may not itself: an `allowWrite` pattern, or a path that does not exist yet.
    pub opened: bool,
}

/// An entry of a hidden directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: FileKind,
    /// The text of a symbolic link that a rule allows to be read.
    pub link: Option<OsString>,
}

/// A rule that holds for names, not for objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRule {
    /// The entry as written.
    pub spelled: String,
    /// The setting it was written in: `denyWrite`.
    pub key: &'static str,
    /// Where.
    pub origin: Origin,
}

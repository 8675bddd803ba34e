//! What the policy stage asks of the file system, and nothing more.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;

use super::AbsPath;

/// Kinds of directory entries that a policy distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else: regular files, devices, sockets, FIFOs.
    Other,
}

/// A path with every symbolic link in it resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealPath {
    /// Where the name leads. What does not exist is kept as written below the deepest directory that does.
    pub path: AbsPath,
    /// What is there; `None` where nothing is.
    pub kind: Option<FileKind>,
    /// The symbolic links that were followed, each by its own real path.
    pub links: Vec<AbsPath>,
}

/// Read-only questions about the file system. Tests answer them from a table.
pub trait PathLookup {
    /// Resolves symbolic links, in what exists of the path.
    ///
    /// # Errors
    /// `ELOOP` (more than 40 links), `ENOTDIR`, `EACCES` on the way.
    fn real_path(&self, path: &AbsPath) -> io::Result<RealPath>;

    /// Names and kinds of the entries of a directory, without `.` and `..`, in any order.
    ///
    /// # Errors
    /// As readdir(3).
    fn children(&self, directory: &AbsPath) -> io::Result<Vec<(OsString, FileKind)>>;

    /// The text of a symbolic link.
    ///
    /// # Errors
    /// As readlink(2).
    fn link_text(&self, link: &AbsPath) -> io::Result<OsString>;

    /// The beginning of a small text file, for `.git` files; at most 4 KiB.
    ///
    /// # Errors
    /// As open(2) and read(2).
    fn first_bytes(&self, file: &AbsPath) -> io::Result<Vec<u8>>;
}

/// Asks about each path once.
///
/// The stages of the resolution ask about the same paths in turn. One answer for all of them costs less, and cannot change between them.
pub(super) struct Remembered<'a> {
    lookup: &'a dyn PathLookup,
    real_paths: RefCell<HashMap<AbsPath, RealPath>>,
}

impl<'a> Remembered<'a> {
    /// Nothing is remembered yet.
    pub(super) fn new(lookup: &'a dyn PathLookup) -> Self {
        Remembered { lookup, real_paths: RefCell::default() }
    }
}

impl PathLookup for Remembered<'_> {
    fn real_path(&self, path: &AbsPath) -> io::Result<RealPath> {
        if let Some(known) = self.real_paths.borrow().get(path) {
            return Ok(known.clone());
        }
        let found = self.lookup.real_path(path)?;
        self.real_paths.borrow_mut().insert(path.clone(), found.clone());
        // The real path of a real path is itself, and no link is on the way.
        self.real_paths.borrow_mut().entry(found.path.clone()).or_insert_with(|| RealPath { links: Vec::new(), ..found.clone() });
        Ok(found)
    }

    fn children(&self, directory: &AbsPath) -> io::Result<Vec<(OsString, FileKind)>> {
        self.lookup.children(directory)
    }

    fn link_text(&self, link: &AbsPath) -> io::Result<OsString> {
        self.lookup.link_text(link)
    }

    fn first_bytes(&self, file: &AbsPath) -> io::Result<Vec<u8>> {
        self.lookup.first_bytes(file)
    }
}

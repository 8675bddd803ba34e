//! What the policy stage asks of the file system, and nothing more.

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

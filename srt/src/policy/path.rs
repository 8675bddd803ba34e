//! Absolute, normalised paths.
//!
//! Containment is decided component by component: `/home/ada` does not contain `/home/ada2`. A string prefix would say it does.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// An absolute path without `.`, `..`, doubled or trailing slashes, and without NUL.
///
/// Symbolic links are *not* resolved by this type: normalising `a/../b` to `b` is lexical, as in a settings file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AbsPath(PathBuf);

impl AbsPath {
    /// The root directory.
    pub fn root() -> Self {
        AbsPath(PathBuf::from("/"))
    }

    /// Normalises `path`, taken relative to `base` unless it is absolute. `..` above the root stays at the root.
    pub fn resolve(base: &AbsPath, path: &Path) -> Self {
        let mut out = if path.is_absolute() { PathBuf::from("/") } else { base.0.clone() };
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
                Component::ParentDir => {
                    out.pop();
                }
                Component::Normal(name) => out.push(name),
            }
        }
        AbsPath(out)
    }

    /// Normalises an absolute path; `None` where it is relative or holds a NUL byte.
    pub fn new(path: impl AsRef<Path>) -> Option<Self> {
        let path = path.as_ref();
        if !path.is_absolute() || path.as_os_str().as_bytes().contains(&0) {
            return None;
        }
        Some(Self::resolve(&Self::root(), path))
    }

    /// A path that the kernel wrote (`/proc/self/fd/N`, d_path): it is in normal form already. `None` where it is none.
    #[cfg(target_os = "linux")]
    pub(crate) fn from_kernel(bytes: &[u8]) -> Option<Self> {
        let normal = bytes.first() == Some(&b'/') && !bytes.contains(&0) && !bytes.windows(2).any(|pair| pair == b"//");
        let path = normal.then(|| AbsPath(PathBuf::from(OsStr::from_bytes(bytes))))?;
        debug_assert_eq!(AbsPath::new(&path.0).as_ref(), Some(&path));
        Some(path)
    }

    /// The path for system calls.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The bytes of the path.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }

    /// Components below the root, outermost first; none for `/`.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty()).map(OsStr::from_bytes)
    }

    /// Number of components: 0 for `/`.
    pub fn depth(&self) -> usize {
        match self.as_bytes() {
            b"/" => 0,
            // Normalised: one slash before each component and nowhere else.
            bytes => bytes.iter().filter(|byte| **byte == b'/').count(),
        }
    }

    /// Is `self` the same as `ancestor`, or below it?
    ///
    /// Both are normalised, so this is the question of `Path::starts_with` without taking both apart: it is asked for every rule.
    pub fn is_within(&self, ancestor: &AbsPath) -> bool {
        let rest = match ancestor.as_bytes() {
            b"/" => return true,
            prefix => self.as_bytes().strip_prefix(prefix),
        };
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// Is `self` below `ancestor` and not the same?
    pub fn is_strictly_within(&self, ancestor: &AbsPath) -> bool {
        self != ancestor && self.is_within(ancestor)
    }

    /// The directory that holds it; `None` for `/`.
    pub fn parent(&self) -> Option<AbsPath> {
        self.0.parent().map(|parent| AbsPath(parent.to_owned()))
    }

    /// The last component; `None` for `/`.
    pub fn file_name(&self) -> Option<&OsStr> {
        self.0.file_name()
    }

    /// One component more. `name` must be a single plain component.
    pub fn join(&self, name: impl AsRef<OsStr>) -> AbsPath {
        let name = name.as_ref();
        debug_assert!(!name.is_empty() && name != "." && name != ".." && !name.as_bytes().contains(&b'/'));
        AbsPath(self.0.join(name))
    }

    /// `self` and its ancestors, deepest first, ending with `/`.
    pub fn ancestors(&self) -> impl Iterator<Item = AbsPath> {
        self.0.ancestors().map(|path| AbsPath(path.to_owned()))
    }

    /// The remaining components of `self` below `ancestor`; `None` where it is not within.
    pub fn below<'a>(&'a self, ancestor: &AbsPath) -> Option<&'a Path> {
        self.0.strip_prefix(&ancestor.0).ok()
    }
}

impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl AsRef<Path> for AbsPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> AbsPath {
        AbsPath::new(text).unwrap()
    }

    #[test]
    fn spelling_does_not_matter() {
        assert_eq!(path("/a//b/./c/../d/"), path("/a/b/d"));
        assert_eq!(path("/../.."), AbsPath::root());
        assert_eq!(AbsPath::resolve(&path("/w"), Path::new("../x")), path("/x"));
    }

    #[test]
    fn containment_is_by_component() {
        assert!(path("/home/ada/x").is_within(&path("/home/ada")));
        assert!(!path("/home/ada2").is_within(&path("/home/ada")));
        assert!(path("/home/ada").is_within(&path("/home/ada")));
        assert!(!AbsPath::root().is_within(&path("/home")));
        assert_eq!([path("/").depth(), path("/a").depth(), path("/a/b").depth()], [0, 1, 2]);
        assert!(path("/x").is_within(&AbsPath::root()));
        assert!(!path("/x").is_strictly_within(&path("/x")));
    }

    #[test]
    fn relative_paths_and_nul_are_refused() {
        assert_eq!(AbsPath::new("a/b"), None);
        assert_eq!(AbsPath::new("/a\0b"), None);
    }
}

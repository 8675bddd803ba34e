//! The file tree as the sandbox sees it, for looking up what records of the kernel name.
//!
//! `init` hands a descriptor of its root over before the command starts. Paths are resolved below it (openat2(2), `RESOLVE_IN_ROOT`), so that links which only the sandbox has lead where they lead there;
//! nothing is opened but to name it (`O_PATH`). What cannot be resolved so is looked up on the host, which shows the same tree but for private directories.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::records::Outside;
use crate::host::HostLookup;
use crate::policy::{AbsPath, FileKind, PathLookup, RealPath};

/// The tree; without a descriptor, the host's.
#[derive(Debug, Default)]
pub(super) struct Tree(pub(super) Option<OwnedFd>);

impl Tree {
    /// Where a path leads inside. Nothing in `/proc`: its numbers are the sandbox's own.
    fn inside(&self, path: &Path) -> Option<AbsPath> {
        let root = self.0.as_ref().filter(|_| !path.starts_with("/proc"))?;
        let relative = path.strip_prefix("/").ok().filter(|rest| !rest.as_os_str().is_empty())?;
        let object = rustix::fs::openat2(root, relative, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
        AbsPath::new(std::fs::read_link(format!("/proc/self/fd/{}", object.as_raw_fd())).ok()?)
    }
}

impl PathLookup for Tree {
    fn real_path(&self, path: &AbsPath) -> io::Result<RealPath> {
        self.find(path.as_path())
    }

    fn children(&self, directory: &AbsPath) -> io::Result<Vec<(OsString, FileKind)>> {
        HostLookup.children(directory)
    }

    fn link_text(&self, link: &AbsPath) -> io::Result<OsString> {
        HostLookup.link_text(link)
    }

    fn first_bytes(&self, file: &AbsPath) -> io::Result<Vec<u8>> {
        HostLookup.first_bytes(file)
    }
}

impl Outside for Tree {
    fn find(&self, path: &Path) -> io::Result<RealPath> {
        let Some(real) = self.inside(path) else { return HostLookup.real_path_of(path) };
        // Of what only the sandbox has, the host knows nothing.
        let kind = HostLookup.real_path(&real).ok().and_then(|found| found.kind).or(Some(FileKind::Other));
        Ok(RealPath { path: real, kind, links: Vec::new() })
    }

    fn may(&self, path: &AbsPath, access: rustix::fs::Access) -> bool {
        HostLookup.may(path, access)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_they_lead_below_the_root() {
        let directory = std::env::temp_dir().join(format!("srt-tree-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("there")).unwrap();
        std::os::unix::fs::symlink("/there", directory.join("link")).unwrap();
        let root = rustix::fs::open(&directory, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let path = |text: &str| AbsPath::new(text).unwrap();
        let (tree, real) = (Tree(Some(root)), AbsPath::new(directory.canonicalize().unwrap()).unwrap());
        assert_eq!(tree.real_path(&path("/link")).unwrap().path, real.join("there"));
        // Not below it: as on the host.
        assert_eq!(tree.real_path(&path("/proc/self")).unwrap().path, HostLookup.real_path(&path("/proc/self")).unwrap().path);
        assert_eq!(tree.real_path(&path("/usr")).unwrap().path, HostLookup.real_path(&path("/usr")).unwrap().path);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}

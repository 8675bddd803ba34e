//! The host's file system, as the policy stage asks about it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::path::{Component, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::policy::{AbsPath, FileKind, PathLookup, RealPath};

/// As the kernel's own limit (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// A `.git` file is one line; anything longer is not one.
const MAX_TEXT: u64 = 4096;

/// Answers from the running system.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostLookup;

impl HostLookup {
    /// Where an absolute path leads that may hold `..`, which leads up from where links before it lead.
    ///
    /// # Errors
    /// As [`PathLookup::real_path`].
    pub(crate) fn real_path_of(&self, path: &std::path::Path) -> io::Result<RealPath> {
        let mut walk = Walk { done: PathBuf::from("/"), kind: Some(FileKind::Directory), rest: Vec::new(), links: Vec::new() };
        walk.push(path);
        while let Some(name) = walk.rest.pop() {
            walk.step(&name)?;
        }
        let path = AbsPath::new(&walk.done).ok_or(Errno::INVAL)?;
        Ok(RealPath { path, kind: walk.kind, links: walk.links })
    }
}

impl PathLookup for HostLookup {
    fn real_path(&self, path: &AbsPath) -> io::Result<RealPath> {
        self.real_path_of(path.as_path())
    }

    fn children(&self, directory: &AbsPath) -> io::Result<Vec<(OsString, FileKind)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let kind = match () {
                () if kind.is_dir() => FileKind::Directory,
                () if kind.is_symlink() => FileKind::Symlink,
                () => FileKind::Other,
            };
            found.push((entry.file_name(), kind));
        }
        Ok(found)
    }

    fn link_text(&self, link: &AbsPath) -> io::Result<OsString> {
        Ok(std::fs::read_link(link)?.into_os_string())
    }

    fn first_bytes(&self, file: &AbsPath) -> io::Result<Vec<u8>> {
        // Not blocking: the entry may have become a FIFO since it was listed.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let file = rustix::fs::openat(CWD, file.as_path(), flags, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(Errno::INVAL.into());
        }
        let mut bytes = Vec::new();
        std::fs::File::from(file).take(MAX_TEXT).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A path resolution under way.
struct Walk {
    /// What is resolved: no symbolic link in it.
    done: PathBuf,
    /// What `done` is.
    kind: Option<FileKind>,
    /// What remains, last component first.
    rest: Vec<OsString>,
    links: Vec<AbsPath>,
}

impl Walk {
    fn push(&mut self, path: &std::path::Path) {
        if path.is_absolute() {
            self.done = PathBuf::from("/");
            self.kind = Some(FileKind::Directory);
        }
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.rest.push(name.to_owned()),
                Component::ParentDir => self.rest.push(OsString::from("..")),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    fn step(&mut self, name: &OsStr) -> io::Result<()> {
        if name == ".." {
            self.done.pop();
            self.kind = Some(FileKind::Directory);
            return Ok(());
        }
        self.done.push(name);
        if self.kind.is_none() {
            return Ok(());
        }
        match rustix::fs::statat(CWD, &self.done, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => self.enter(FileType::from_raw_mode(stat.st_mode)),
            Err(Errno::NOENT) => {
                self.kind = None;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn enter(&mut self, kind: FileType) -> io::Result<()> {
        self.kind = Some(match kind {
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => return self.follow(),
            _ => FileKind::Other,
        });
        Ok(())
    }

    fn follow(&mut self) -> io::Result<()> {
        if self.links.len() >= MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        self.links.push(AbsPath::new(&self.done).ok_or(Errno::INVAL)?);
        let target = std::fs::read_link(&self.done)?;
        self.done.pop();
        self.kind = Some(FileKind::Directory);
        self.push(&target);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> AbsPath {
        let dir = std::env::temp_dir().join(format!("srt-lookup-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        AbsPath::new(dir.canonicalize().unwrap()).unwrap()
    }

    #[test]
    fn links_are_followed_in_what_exists() {
        let dir = scratch("follow");
        std::fs::create_dir_all(dir.join("real")).unwrap();
        std::os::unix::fs::symlink("real", dir.join("link")).unwrap();
        let found = HostLookup.real_path(&dir.join("link").join("missing")).unwrap();
        let links = vec![dir.join("link")];
        assert_eq!(found, RealPath { path: dir.join("real").join("missing"), kind: None, links: links.clone() });
        let found = HostLookup.real_path(&dir.join("link")).unwrap();
        assert_eq!(found, RealPath { path: dir.join("real"), kind: Some(FileKind::Directory), links });
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_dangling_link_leads_to_where_it_points() {
        let dir = scratch("dangling");
        std::os::unix::fs::symlink("../nowhere", dir.join("link")).unwrap();
        let found = HostLookup.real_path(&dir.join("link")).unwrap();
        assert_eq!((found.path, found.kind), (dir.parent().unwrap().join("nowhere"), None));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let dir = scratch("loop");
        std::os::unix::fs::symlink("b", dir.join("a")).unwrap();
        std::os::unix::fs::symlink("a", dir.join("b")).unwrap();
        let error = HostLookup.real_path(&dir.join("a")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
        std::fs::remove_dir_all(dir).unwrap();
    }
}

//! A private directory, used by descriptor only.
//!
//! See openat(2), renameat(2), path_resolution(7).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::backend;
use crate::policy::AbsPath;

/// Nobody else may look in.
const PRIVATE: Mode = Mode::RWXU;
/// A file that is not complete yet starts so; one this old was left by a run that was killed.
const PART: &str = ".part-";
const PART_AGE: Duration = Duration::from_secs(3600);

/// An open directory that belongs to this user alone.
pub(super) struct Directory(OwnedFd);

impl Directory {
    /// Opens it, making what is missing of the way.
    pub(super) fn make(path: &AbsPath) -> io::Result<Directory> {
        Self::walk(path, true)?.ok_or_else(|| Errno::NOENT.into())
    }

    /// Opens it; `None` where there is none.
    pub(super) fn open(path: &AbsPath) -> io::Result<Option<Directory>> {
        Self::walk(path, false)
    }

    /// Name by name, never through a symbolic link. Only where the directory above is this user's is one made: another's home stays as it is.
    fn walk(path: &AbsPath, make: bool) -> io::Result<Option<Directory>> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = rustix::fs::openat(CWD, "/", flags | backend::ON_THE_WAY, Mode::empty())?;
        for name in path.components() {
            at = match rustix::fs::openat(&at, name, flags | backend::ON_THE_WAY, Mode::empty()) {
                Err(Errno::NOENT) if make => {
                    require_own(&at)?;
                    match rustix::fs::mkdirat(&at, name, PRIVATE) {
                        // Another run was quicker.
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    rustix::fs::openat(&at, name, flags | backend::ON_THE_WAY, Mode::empty())?
                }
                Err(Errno::NOENT) => return Ok(None),
                opened => opened?,
            };
        }
        require_private(&at)?;
        Ok(Some(Directory(rustix::fs::openat(&at, ".", flags, Mode::empty())?)))
    }

    /// Writes a file that appears whole, or not at all.
    pub(super) fn write(&self, name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let part = format!("{PART}{name}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.0, &part, flags, Mode::RUSR | Mode::WUSR)?);
        let done = fill(&mut file).and_then(|()| Ok(rustix::fs::renameat(&self.0, &part, &self.0, name)?));
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&self.0, &part, AtFlags::empty());
        }
        done
    }

    /// A file of at most `limit` bytes.
    pub(super) fn read(&self, name: &OsStr, limit: u64) -> io::Result<String> {
        // Not blocking: the name may be a FIFO.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_size as u64 > limit {
            return Err(Errno::INVAL.into());
        }
        let mut text = String::new();
        File::from(file).take(limit).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Names of complete files, in order.
    pub(super) fn names(&self) -> io::Result<Vec<std::ffi::OsString>> {
        let mut names: Vec<_> = self.all_names()?.into_iter().filter(|name| !name.as_bytes().starts_with(b".")).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Removes the oldest until so many files of so many bytes are left, and what killed runs left.
    pub(super) fn prune(&self, files: usize, bytes: u64) -> io::Result<()> {
        let names = self.names()?;
        let (mut left, mut total) = (0, 0);
        let beyond = |name: &&std::ffi::OsString| {
            let size = rustix::fs::statat(&self.0, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW).map_or(0, |stat| stat.st_size as u64);
            (left, total) = (left + 1, total + size);
            left > files || total > bytes
        };
        let oldest: Vec<_> = names.iter().rev().filter(beyond).cloned().collect();
        self.remove_all(&oldest);
        let old = |name: &&std::ffi::OsString| name.as_bytes().starts_with(PART.as_bytes()) && self.age(name) > PART_AGE;
        let left_over: Vec<_> = self.all_names()?.into_iter().filter(|name| old(&name)).collect();
        self.remove_all(&left_over);
        Ok(())
    }

    /// Removes everything; returns the number of complete files.
    pub(super) fn clear(&self) -> io::Result<usize> {
        let complete = self.names()?.len();
        self.remove_all(&self.all_names()?);
        Ok(complete)
    }

    /// Another run may have removed them meanwhile.
    fn remove_all(&self, names: &[std::ffi::OsString]) {
        for name in names {
            let _ = rustix::fs::unlinkat(&self.0, name, AtFlags::empty());
        }
    }

    fn age(&self, name: &OsStr) -> Duration {
        let changed = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).map_or(0, |stat| stat.st_mtime as u64);
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(changed)).unwrap_or_default()
    }

    fn all_names(&self) -> io::Result<Vec<std::ffi::OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }
}

fn require_own(directory: &OwnedFd) -> io::Result<()> {
    let owner = rustix::fs::fstat(directory)?.st_uid;
    if owner == rustix::process::geteuid().as_raw() { Ok(()) } else { Err(refused("a directory on the way belongs to somebody else")) }
}

fn require_private(directory: &OwnedFd) -> io::Result<()> {
    require_own(directory)?;
    let open = rustix::fs::fstat(directory)?.st_mode & 0o077 != 0;
    if open { Err(refused("others may read or write the directory; its mode must be 700")) } else { Ok(()) }
}

fn refused(cause: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, cause)
}

//! From a path in the caller's words to a directory that is held open and a last name in it.
//!
//! The directory is found by the kernel, from the caller's own working directory or descriptor, and its real path is read back from the descriptor, so that verdict
//! and effect are about the same object whatever is renamed meanwhile. The last name is not followed: whoever acts on it acts relative to the directory and without following
//! links, and asks [`Resolver::follow`] where a link leads.
//!
//! procfs shows each process itself under `/proc/self`, and for this process that would be PID 1. Where a path touches procfs it is walked by component here, and `self`
//! means the caller. Of other processes nothing is served, and of PID 1 nothing under any spelling.
//!
//! The caller's root directory is ours: chroot(2) and pivot_root(2) are refused to it, and it has no capability for them.
//!
//! See openat2(2), path_resolution(7), proc(5).

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::authority;
use super::call::PathAt;
use super::caller::Caller;
use super::stop::{Denial, Stop};
use crate::policy::AbsPath;

/// Links followed for one path, as in the kernel.
const MAX_LINKS: u32 = 40;
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const OBJECT: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The last name of a path, in its directory.
pub(super) struct Place {
    /// The directory.
    pub(super) parent: OwnedFd,
    /// One component, or `.` for the directory itself.
    pub(super) name: CString,
    /// The path ended with a slash: only a directory will do.
    pub(super) directory: bool,
    /// Real path of the directory, and the name.
    pub(super) path: AbsPath,
}

impl Place {
    /// Opens what is there, without following a link.
    pub(super) fn object(&self) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(&self.parent, &*self.name, OBJECT, Mode::empty())
    }

    /// The text of the link that is there; `None` where there is something else or nothing.
    fn link_text(&self) -> Option<CString> {
        rustix::fs::readlinkat(&self.parent, &*self.name, Vec::new()).ok()
    }

    /// The name as the caller wrote it, for calls that know what a slash at the end means.
    pub(super) fn spelled(&self) -> CString {
        if self.directory { CString::new([self.name.as_bytes(), b"/"].concat()).unwrap_or_default() } else { self.name.clone() }
    }

    /// Is it an entry of the caller's `/proc/<pid>/fd` and its like: a link that the kernel makes up, which leads to an object and not to a name?
    fn is_magic(&self) -> bool {
        let depth = self.path.depth();
        is_in_proc(&self.path) && depth > 2 && self.object().is_ok_and(|object| is_link(&object))
    }
}

/// Where a path starts from.
pub(super) enum Base<'a> {
    /// A directory that was opened for this.
    Own(OwnedFd),
    /// One that somebody else holds.
    Held(BorrowedFd<'a>),
}

impl Base<'_> {
    fn into_own(self) -> Result<OwnedFd, Errno> {
        match self {
            Base::Own(directory) => Ok(directory),
            Base::Held(directory) => directory.try_clone_to_owned().map_err(|_| Errno::NFILE),
        }
    }
}

impl AsFd for Base<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Base::Own(directory) => directory.as_fd(),
            Base::Held(directory) => *directory,
        }
    }
}

/// Resolves the paths of one call.
pub(super) struct Resolver<'a> {
    caller: &'a Caller<'a>,
    root: BorrowedFd<'a>,
    links: u32,
}

/// Where a followed link leads.
pub(super) enum Followed {
    /// To another name.
    Place(Place),
    /// To an object, through a link that the kernel makes up.
    Object(OwnedFd),
}

impl<'a> Resolver<'a> {
    pub(super) fn new(caller: &'a Caller<'a>, root: BorrowedFd<'a>) -> Self {
        Resolver { caller, root, links: 0 }
    }

    /// The place that an argument names.
    pub(super) fn place(&mut self, at: PathAt) -> Result<Place, Stop> {
        let text = self.caller.text(at.text)?;
        if text.is_empty() {
            return Err(Errno::NOENT.into());
        }
        let base = if text.as_bytes()[0] == b'/' { Base::Held(self.root) } else { Base::Own(self.start(at.directory)?) };
        self.place_below(base, text.as_bytes())
    }

    /// The directory that relative paths start from.
    pub(super) fn start(&self, directory: i32) -> Result<OwnedFd, Errno> {
        if directory == libc::AT_FDCWD { self.caller.working_directory() } else { self.caller.descriptor(directory) }
    }

    /// The place that a text names, seen from a directory.
    pub(super) fn place_below(&mut self, base: Base<'_>, text: &[u8]) -> Result<Place, Stop> {
        let trimmed = text.trim_ascii_end_slashes();
        let directory = trimmed.len() < text.len();
        let (above, name) = match trimmed.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&trimmed[..=slash], &trimmed[slash + 1..]),
            None if trimmed.is_empty() => (&text[..1], &b"."[..]),
            None => (&b""[..], trimmed),
        };
        // The path as a whole is a directory then, and that is what the call is about.
        let (above, name) = if name == b"." || name == b".." { (trimmed, &b"."[..]) } else { (above, name) };
        let (parent, real) = self.directory(base, above)?;
        self.check_owner(&real)?;
        let path = if name == b"." { real } else { real.join(OsStr::from_bytes(name)) };
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        self.own_name(Place { parent, name, directory, path })
    }

    /// Where the link at `place` leads; `None` where it is no link.
    ///
    /// # Errors
    /// `ELOOP`.
    pub(super) fn follow(&mut self, place: &Place) -> Result<Option<Followed>, Stop> {
        if place.is_magic() {
            self.count_link()?;
            return Ok(Some(Followed::Object(self.jump(place.parent.as_fd(), &place.name)?)));
        }
        let Some(text) = place.link_text() else { return Ok(None) };
        self.count_link()?;
        let absolute = text.as_bytes().first() == Some(&b'/');
        let base = if absolute { self.root } else { place.parent.as_fd() };
        let mut next = self.place_below(Base::Held(base), text.as_bytes())?;
        next.directory |= place.directory;
        Ok(Some(Followed::Place(next)))
    }

    fn count_link(&mut self) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MAX_LINKS { Err(Errno::LOOP) } else { Ok(()) }
    }

    /// The directory that a text names, with its real path. Empty: `base` itself.
    fn directory(&mut self, base: Base<'_>, text: &[u8]) -> Result<(OwnedFd, AbsPath), Stop> {
        if text.is_empty() {
            let base = base.into_own()?;
            let path = directory_path(base.as_fd())?;
            return own_tree(base, path);
        }
        // The kernel does it at once, unless procfs has a part in it: then the result lies there, or a magic link is an error, or `self` was ours and anything may be.
        if let Ok(found) = rustix::fs::openat2(base.as_fd(), text, DIRECTORY, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
            let path = directory_path(found.as_fd())?;
            if !is_in_proc(&path) {
                return own_tree(found, path);
            }
        }
        let found = self.walk(base, text)?;
        let path = directory_path(found.as_fd())?;
        own_tree(found, path)
    }

    /// Component by component.
    fn walk(&mut self, base: Base<'_>, text: &[u8]) -> Result<OwnedFd, Stop> {
        let mut here = base.into_own()?;
        let mut ahead: Vec<Vec<u8>> = components(text);
        while let Some(component) = ahead.pop() {
            let path = real_path(here.as_fd())?;
            self.check_owner(&path)?;
            let component = CString::new(component).map_err(|_| Errno::INVAL)?;
            if let Some(own) = self.own_entry(&path, &component)? {
                ahead.extend(own.into_iter().rev());
                continue;
            }
            let next = rustix::fs::openat(&here, &*component, OBJECT, Mode::empty())?;
            if !is_link(&next) {
                here = next;
                continue;
            }
            self.count_link()?;
            if is_in_proc(&path) && path.depth() > 1 {
                here = self.jump(here.as_fd(), &component)?;
                continue;
            }
            let target = rustix::fs::readlinkat(&next, c"", Vec::new())?;
            if target.as_bytes().first() == Some(&b'/') {
                here = Base::Held(self.root).into_own()?;
            }
            ahead.extend(components(target.as_bytes()));
        }
        if kind(&here)? == FileType::Directory { Ok(here) } else { Err(Errno::NOTDIR.into()) }
    }

    /// Through a link that the kernel makes up. The entry is the caller's own: it was checked.
    fn jump(&self, directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
        authority::where_needed(|| rustix::fs::openat(directory, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()))
    }

    /// What `self` and `thread-self` in `/proc` stand for.
    fn own_entry(&self, directory: &AbsPath, name: &CStr) -> Result<Option<Vec<Vec<u8>>>, Errno> {
        if directory.as_bytes() != b"/proc" {
            return Ok(None);
        }
        let group = || self.caller.group().map(|group| group.to_string().into_bytes());
        let thread = || self.caller.entry().map(|entry| entry.to_string().into_bytes());
        Ok(match name.to_bytes() {
            b"self" => Some(vec![group()?]),
            b"thread-self" => Some(vec![group()?, b"task".to_vec(), thread()?]),
            _ => None,
        })
    }

    /// `self` in last place.
    fn own_name(&mut self, place: Place) -> Result<Place, Stop> {
        let parent = place.path.parent().unwrap_or_else(AbsPath::root);
        match self.own_entry(&parent, &place.name)? {
            Some(own) => {
                let mut place = self.place_below(Base::Held(place.parent.as_fd()), &own.join(&b'/'))?;
                place.directory = true;
                Ok(place)
            }
            None => {
                self.check_owner(&place.path)?;
                Ok(place)
            }
        }
    }

    /// Entries of other processes are not served.
    fn check_owner(&self, path: &AbsPath) -> Result<(), Stop> {
        let Some(process) = process_entry(path) else { return Ok(()) };
        if process == self.caller.group()? || process == self.caller.entry()? {
            return Ok(());
        }
        Err(Denial::builtin(Errno::ACCESS, path.clone(), "fs.proc").into())
    }
}

/// A procfs elsewhere (of a chroot of the host, below a write root) shows processes by numbers that nobody here can judge: nothing in it is served.
fn own_tree(directory: OwnedFd, path: AbsPath) -> Result<(OwnedFd, AbsPath), Stop> {
    let foreign = !is_in_proc(&path) && rustix::fs::fstatfs(&directory)?.f_type == rustix::fs::PROC_SUPER_MAGIC;
    if foreign { Err(Denial::builtin(Errno::ACCESS, path, "fs.proc").into()) } else { Ok((directory, path)) }
}

/// The process whose entry in `/proc` a path is, or lies in.
fn process_entry(path: &AbsPath) -> Option<i32> {
    let mut components = path.components();
    (components.next()? == "proc").then_some(())?;
    components.next()?.to_str()?.parse().ok()
}

fn is_in_proc(path: &AbsPath) -> bool {
    path.components().next().is_some_and(|first| first == "proc")
}

/// Last first.
fn components(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec).rev().collect()
}

fn kind(object: impl AsFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(object)?.st_mode))
}

fn is_link(object: impl AsFd) -> bool {
    kind(object).is_ok_and(|kind| kind == FileType::Symlink)
}

/// The path by which the kernel knows an object that is held open. One that was removed has ` (deleted)` at its end, and whatever is tried with it fails.
///
/// # Errors
/// `EACCES`: it lies in no tree.
pub(super) fn real_path(object: BorrowedFd<'_>) -> Result<AbsPath, Errno> {
    AbsPath::from_kernel(link_of(object)?.as_bytes()).ok_or(Errno::ACCESS)
}

/// The same for a directory, by making it this thread's working directory: a third of the time that procfs takes.
///
/// # Errors
/// `ENOTDIR`, `EACCES`; `ENOENT`: it was removed.
fn directory_path(directory: BorrowedFd<'_>) -> Result<AbsPath, Errno> {
    rustix::process::fchdir(directory)?;
    AbsPath::from_kernel(rustix::process::getcwd(Vec::new())?.as_bytes()).ok_or(Errno::ACCESS)
}

/// The text of the kernel's link to an object: a path, or `pipe:[…]`, `socket:[…]`, `anon_inode:…`.
pub(super) fn link_of(object: BorrowedFd<'_>) -> Result<CString, Errno> {
    rustix::fs::readlinkat(CWD, own_link(object).as_str(), Vec::new())
}

/// The name by which this process reaches an object that it holds open.
pub(super) fn own_link(object: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", object.as_raw_fd())
}

trait TrimSlashes {
    fn trim_ascii_end_slashes(&self) -> &[u8];
}

impl TrimSlashes for [u8] {
    fn trim_ascii_end_slashes(&self) -> &[u8] {
        let end = self.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        &self[..end]
    }
}

//! The private directory of a run, and the sweeping of those that killed runs left.
//!
//! `<tmp>/srt-<uid>/<random>`: both of mode 0700 and ours. A lock (flock(2)) on the run's directory tells whether its owner lives; a lock on the
//! directory above is held while one is made or swept, so that no new directory is taken for an old one.
//!
//! What lies in the directory was made by the sandbox: names, depth and modes are hostile. Removal follows no link, recurses nowhere and changes modes as it
//! must.

use std::ffi::{CStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::backend::open_to_owner;
use crate::policy::AbsPath;

/// The private directory of this run; removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    runs: OwnedFd,
    runs_path: AbsPath,
    /// Holds the lock for as long as the run lives.
    own: OwnedFd,
    name: OsString,
}

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Tries to win against runs that remove the shared directory as they end.
const ATTEMPTS: u32 = 100;

impl Scratch {
    /// Makes `path`, and the directory above it where that is missing; sweeps what killed runs left there.
    ///
    /// # Errors
    /// `EPERM` where the directory above belongs to somebody else, or others may write to it.
    pub(crate) fn create(path: &AbsPath, uid: u32) -> Result<Scratch, Errno> {
        let runs_path = path.parent().ok_or(Errno::INVAL)?;
        let name = path.file_name().ok_or(Errno::INVAL)?.to_owned();
        for _ in 0..ATTEMPTS {
            match Self::try_create(&runs_path, &name, uid) {
                // The last run before us has just removed the shared directory.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
                Ok(scratch) => return Ok(scratch),
            }
        }
        Err(Errno::BUSY)
    }

    fn try_create(runs_path: &AbsPath, name: &OsString, uid: u32) -> Result<Scratch, Errno> {
        let fresh = match rustix::fs::mkdirat(CWD, runs_path.as_path(), Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error),
        };
        let runs = rustix::fs::openat(CWD, runs_path.as_path(), OPEN, Mode::empty())?;
        let stat = rustix::fs::fstat(&runs)?;
        if stat.st_uid != uid || stat.st_mode & 0o077 != 0 {
            return Err(Errno::PERM);
        }
        lock(runs.as_fd())?;
        if !fresh {
            sweep(runs.as_fd())?;
        }
        rustix::fs::mkdirat(&runs, name.as_os_str(), Mode::RWXU)?;
        let own = rustix::fs::openat(&runs, name.as_os_str(), OPEN, Mode::empty())?;
        rustix::fs::flock(&own, FlockOperation::NonBlockingLockExclusive)?;
        rustix::fs::flock(&runs, FlockOperation::Unlock)?;
        Ok(Scratch { runs, runs_path: runs_path.clone(), own, name: name.clone() })
    }

    /// In a forked child: lets go of the descriptors, and removes nothing.
    #[cfg(target_os = "linux")]
    pub(crate) fn leave_to_parent(self) {
        let mut this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, so each descriptor is closed once.
        unsafe {
            std::ptr::drop_in_place(&raw mut this.runs);
            std::ptr::drop_in_place(&raw mut this.own);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let remove = || rustix::fs::unlinkat(&self.runs, self.name.as_os_str(), AtFlags::REMOVEDIR);
        // Mostly nothing is in it.
        if remove().is_err() {
            // The command may have closed it to its owner. Nothing can be done about a failure here; the next start sweeps.
            let _ = rustix::fs::fchmod(&self.own, Mode::RWXU);
            let _ = empty(self.own.as_fd());
            let _ = remove();
        }
        let _ = rustix::fs::rmdir(self.runs_path.as_path());
    }
}

/// Held for microseconds by each start. Not waited for without end: whoever can open the directory can hold its lock.
fn lock(runs: BorrowedFd<'_>) -> Result<(), Errno> {
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(2);
    for _ in 0..1000 {
        match rustix::fs::flock(runs, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN) => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
    Err(Errno::BUSY)
}

/// Removes the directories of runs that are dead.
fn sweep(runs: BorrowedFd<'_>) -> Result<(), Errno> {
    for (name, kind) in entries(runs)? {
        if kind != FileType::Directory {
            rustix::fs::unlinkat(runs, name.as_c_str(), AtFlags::empty())?;
            continue;
        }
        if rustix::fs::openat(runs, name.as_c_str(), OPEN, Mode::empty()).is_err() {
            let _ = open_to_owner(runs, &name);
        }
        let Ok(directory) = rustix::fs::openat(runs, name.as_c_str(), OPEN, Mode::empty()) else { continue };
        if rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok() && empty(directory.as_fd()).is_ok() {
            let _ = rustix::fs::unlinkat(runs, name.as_c_str(), AtFlags::REMOVEDIR);
        }
    }
    Ok(())
}

/// Empties a directory with two descriptors, however deep it is: directories that are not empty give their own to `top` under new names, and go.
fn empty(top: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut moved = 0u64;
    loop {
        let names = entries(top)?;
        if names.is_empty() {
            return Ok(());
        }
        for (name, kind) in names {
            if kind != FileType::Directory {
                rustix::fs::unlinkat(top, name.as_c_str(), AtFlags::empty())?;
            } else if rustix::fs::unlinkat(top, name.as_c_str(), AtFlags::REMOVEDIR).is_err() {
                flatten(top, &name, &mut moved)?;
            }
        }
    }
}

/// Moves what `name` holds to `top`, and removes it.
fn flatten(top: BorrowedFd<'_>, name: &CStr, moved: &mut u64) -> Result<(), Errno> {
    open_to_owner(top, name)?;
    let directory = rustix::fs::openat(top, name, OPEN, Mode::empty())?;
    for (child, kind) in entries(directory.as_fd())? {
        if kind != FileType::Directory {
            rustix::fs::unlinkat(&directory, child.as_c_str(), AtFlags::empty())?;
        } else if rustix::fs::unlinkat(&directory, child.as_c_str(), AtFlags::REMOVEDIR).is_err() {
            // A directory must be writable to be given another parent.
            open_to_owner(directory.as_fd(), &child)?;
            *moved += 1;
            move_up(&directory, &child, top, moved)?;
        }
    }
    rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR)
}

/// A name that the sandbox has taken already is passed over.
fn move_up(from: &OwnedFd, child: &CStr, top: BorrowedFd<'_>, moved: &mut u64) -> Result<(), Errno> {
    loop {
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(from, child, top, format!("moved-{moved}"), flags) {
            Err(Errno::EXIST) => *moved += 1,
            other => return other,
        }
    }
}

fn entries(directory: BorrowedFd<'_>) -> Result<Vec<(std::ffi::CString, FileType)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if ![b".".as_slice(), b".."].contains(&entry.file_name().to_bytes()) {
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    FileType::from_raw_mode(rustix::fs::statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
                }
                kind => kind,
            };
            found.push((entry.file_name().to_owned(), kind));
        }
    }
    Ok(found)
}

/// Keeps the name readable in messages.
impl std::fmt::Display for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.runs_path, String::from_utf8_lossy(self.name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn runs(name: &str) -> AbsPath {
        AbsPath::new(std::env::temp_dir().join(format!("srt-scratch-{}-{name}", std::process::id()))).unwrap()
    }

    fn uid() -> u32 {
        rustix::process::getuid().as_raw()
    }

    #[test]
    fn nothing_is_left_of_a_run() {
        let runs = runs("left");
        let own = runs.join("a");
        let scratch = Scratch::create(&own, uid()).unwrap();
        assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o7777, 0o700);
        fs::create_dir_all(own.as_path().join("x/y/z")).unwrap();
        fs::write(own.as_path().join("x/y/file"), "text").unwrap();
        fs::set_permissions(own.as_path().join("x/y"), fs::Permissions::from_mode(0o0)).unwrap();
        std::os::unix::fs::symlink("/", own.as_path().join("x/link")).unwrap();
        drop(scratch);
        assert!(!runs.as_path().exists());
    }

    #[test]
    fn a_tree_deeper_than_the_descriptor_limit_is_removed() {
        let runs = runs("deep");
        let scratch = Scratch::create(&runs.join("a"), uid()).unwrap();
        let mut at = scratch.own.try_clone().unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, "d", OPEN, Mode::empty()).unwrap();
        }
        rustix::fs::mkdirat(&scratch.own, "moved-1", Mode::RWXU).unwrap();
        drop(scratch);
        assert!(!runs.as_path().exists());
    }

    #[test]
    fn directories_of_dead_runs_are_swept_and_those_of_living_ones_are_not() {
        let runs = runs("sweep");
        let living = Scratch::create(&runs.join("living"), uid()).unwrap();
        fs::create_dir_all(runs.as_path().join("dead/x")).unwrap();
        let next = Scratch::create(&runs.join("next"), uid()).unwrap();
        assert!(!runs.as_path().join("dead").exists());
        assert!(runs.as_path().join("living").exists());
        drop(living);
        assert!(runs.as_path().join("next").exists());
        drop(next);
        assert!(!runs.as_path().exists());
    }

    #[test]
    fn a_link_in_the_place_of_a_directory_changes_no_mode() {
        let runs = runs("swapped");
        let scratch = Scratch::create(&runs.join("a"), uid()).unwrap();
        let victim = runs.as_path().with_extension("victim");
        fs::create_dir(&victim).unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o755)).unwrap();
        rustix::fs::symlinkat(&victim, &scratch.own, "link").unwrap();
        assert_eq!(open_to_owner(scratch.own.as_fd(), c"link"), Err(Errno::NOTDIR));
        assert_eq!(fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o755);
        fs::remove_dir(&victim).unwrap();
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let runs = runs("open");
        fs::create_dir(&runs).unwrap();
        fs::set_permissions(&runs, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(Scratch::create(&runs.join("a"), uid()).unwrap_err(), Errno::PERM);
        fs::remove_dir(&runs).unwrap();
    }
}

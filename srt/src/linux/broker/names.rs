//! Calls that make names, take them away, or move them.
//!
//! Each name is judged with the real path of its directory, and the call is made relative to that directory. None of these calls follows a link in last place, but for
//! link(2) where it is asked to.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags};
use rustix::io::Errno;

use super::super::sys::raw;
use super::call::PathAt;
use super::judge::{self, Need};
use super::peers;
use super::resolve::{Followed, Place, own_link};
use super::stop::Stop;
use super::work::{Effect, Work};
use crate::policy::FsPolicy;

/// A call on one name, relative to its directory.
///
/// # Errors
/// The kernel's.
fn call_at(number: libc::c_long, directory: BorrowedFd<'_>, name: &CStr, rest: [usize; 3]) -> Result<i64, Errno> {
    // SAFETY: the name is a terminated text that outlives the call; the rest are numbers for every call made through this.
    unsafe { raw(number, [directory.as_raw_fd() as usize, name.as_ptr() as usize, rest[0], rest[1], rest[2], 0]) }
}

/// Judges one place and makes the call on it.
fn at_place(work: &Work<'_>, place: &Place, need: Need, number: libc::c_long, rest: [usize; 3]) -> Result<Effect, Stop> {
    let policy = work.policy();
    judge::admit(&policy, place, need)?;
    let result = call_at(number, place.parent.as_fd(), &place.spelled(), rest);
    result.map(Effect::Value).map_err(|errno| judge::explain(&policy, place, need, errno))
}

fn place(work: &Work<'_>, at: PathAt) -> Result<Place, Stop> {
    let place = work.resolver().place(at)?;
    work.caller.check()?;
    Ok(place)
}

/// mkdir(2).
pub(super) fn make_directory(work: &Work<'_>, at: PathAt, mode: u32) -> Result<Effect, Stop> {
    let place = place(work, at)?;
    work.take_umask()?;
    at_place(work, &place, Need::Free, libc::SYS_mkdirat, [mode as usize, 0, 0])
}

/// mknod(2).
pub(super) fn make_node(work: &Work<'_>, at: PathAt, mode: u32, device: u64) -> Result<Effect, Stop> {
    if mode & 0o6000 != 0 {
        work.refuse_set_id()?;
    }
    let place = place(work, at)?;
    if let Some(rule) = work.policy().denies_file(&place.path) {
        return Err(judge::refuse(rule, &place, Need::Free));
    }
    work.take_umask()?;
    at_place(work, &place, Need::Free, libc::SYS_mknodat, [mode as usize, device as usize, 0])
}

/// unlink(2), rmdir(2).
pub(super) fn remove(work: &Work<'_>, at: PathAt, flags: i32) -> Result<Effect, Stop> {
    let place = place(work, at)?;
    at_place(work, &place, Need::Removed, libc::SYS_unlinkat, [flags as usize, 0, 0])
}

/// symlink(2).
pub(super) fn symlink(work: &Work<'_>, text: u64, at: PathAt) -> Result<Effect, Stop> {
    let text = work.caller.text(text)?;
    let place = place(work, at)?;
    let policy = work.policy();
    judge::admit(&policy, &place, Need::Free)?;
    if let Some(rule) = policy.denies_link(&place.path) {
        return Err(judge::refuse(rule, &place, Need::Free));
    }
    let name = place.spelled();
    // SAFETY: both texts are terminated and outlive the call.
    let result =
        unsafe { raw(libc::SYS_symlinkat, [text.as_ptr() as usize, place.parent.as_raw_fd() as usize, name.as_ptr() as usize, 0, 0, 0]) };
    result.map(Effect::Value).map_err(|errno| judge::explain(&policy, &place, Need::Free, errno))
}

/// rename(2): both names are judged, and what the move does to names below them.
pub(super) fn rename(work: &Work<'_>, from: PathAt, to: PathAt, flags: u32) -> Result<Effect, Stop> {
    let policy = work.policy();
    let (from, to) = (work.resolver().place(from)?, work.resolver().place(to)?);
    work.caller.check()?;
    judge::admit(&policy, &from, Need::Removed)?;
    // What is there is replaced by the rename of its directory's entry, which takes write permission on the directory alone.
    let need = if flags & libc::RENAME_EXCHANGE != 0 { Need::Removed } else { Need::Replaced };
    judge::admit(&policy, &to, need)?;
    // Nobody else moves names meanwhile, so each is still what it is now. Between two mounts the kernel moves nothing.
    if !between_mounts(&from, &to) {
        may_get_name(work, &policy, &from, &to)?;
        if flags & libc::RENAME_EXCHANGE != 0 {
            may_get_name(work, &policy, &to, &from)?;
        }
    }
    let (old, new) = (from.spelled(), to.spelled());
    let arguments =
        [from.parent.as_raw_fd() as usize, old.as_ptr() as usize, to.parent.as_raw_fd() as usize, new.as_ptr() as usize, flags as usize, 0];
    // SAFETY: both names are terminated and outlive the call.
    let result = unsafe { raw(libc::SYS_renameat2, arguments) };
    result.map(Effect::Value).map_err(|errno| judge::explain_pair(&policy, Some(&from), &to, need, errno))
}

fn between_mounts(from: &Place, to: &Place) -> bool {
    let mount = |place: &Place| {
        let stat = rustix::fs::statx(&place.parent, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
        (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id)
    };
    mount(from).zip(mount(to)).is_some_and(|(from, to)| from != to)
}

/// May what is at `from` be at `to`? Only directories and symbolic links take names below them along.
fn may_get_name(work: &Work<'_>, policy: &FsPolicy, from: &Place, to: &Place) -> Result<(), Stop> {
    let object = from.object()?;
    let rule = match FileType::from_raw_mode(rustix::fs::fstat(&object)?.st_mode) {
        FileType::Directory | FileType::Symlink => policy.denies_move(&from.path, &to.path),
        _ => policy.denies_file(&to.path),
    };
    match rule {
        Some(rule) => Err(judge::refuse(rule, from, Need::Removed)),
        None => peers::may_move(work, object.as_fd(), &to.path),
    }
}

/// link(2): the old name is judged too, because a second name would lead to the same content.
pub(super) fn link(work: &Work<'_>, from: PathAt, to: PathAt, flags: i32) -> Result<Effect, Stop> {
    if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Err(Errno::INVAL.into());
    }
    let policy = work.policy();
    let source = source(work, from, flags)?;
    if let Source::Place(old) = &source {
        // Said before anything is said about the new name.
        old.object()?;
    }
    let to = place(work, to)?;
    let (old, object) = match &source {
        Source::Place(old) => {
            judge::admit(&policy, old, Need::Removed)?;
            (old.spelled(), None)
        }
        Source::Object(object) => {
            judge::admit_object(&policy, object)?;
            let name = std::ffi::CString::new(own_link(object.as_fd())).map_err(|_| Errno::INVAL)?;
            (name, Some(object))
        }
    };
    judge::admit(&policy, &to, Need::Free)?;
    let object_itself = source.object()?;
    // What gets the name may be a symbolic link. Nobody else moves names meanwhile, so it still is what it is now.
    let rule = match FileType::from_raw_mode(rustix::fs::fstat(&object_itself)?.st_mode) {
        FileType::Symlink => policy.denies_link(&to.path),
        _ => policy.denies_file(&to.path),
    };
    if let Some(rule) = rule {
        return Err(judge::refuse(rule, &to, Need::Free));
    }
    peers::may_move(work, object_itself.as_fd(), &to.path)?;
    let directory = match &source {
        Source::Place(old) => old.parent.as_fd(),
        Source::Object(_) => CWD,
    };
    // A place was followed already; an object is reached through a link of our own.
    let follow = if object.is_some() { libc::AT_SYMLINK_FOLLOW } else { 0 };
    let new = to.spelled();
    let arguments =
        [directory.as_raw_fd() as usize, old.as_ptr() as usize, to.parent.as_raw_fd() as usize, new.as_ptr() as usize, follow as usize, 0];
    // SAFETY: both names are terminated and outlive the call.
    let result = unsafe { raw(libc::SYS_linkat, arguments) };
    result.map(Effect::Value).map_err(|errno| {
        let from = match &source {
            Source::Place(place) => Some(place),
            Source::Object(_) => None,
        };
        judge::explain_pair(&policy, from, &to, Need::Free, errno)
    })
}

enum Source {
    Place(Place),
    Object(OwnedFd),
}

impl Source {
    fn object(&self) -> Result<OwnedFd, Errno> {
        match self {
            Source::Place(place) => place.object(),
            Source::Object(object) => object.try_clone().map_err(|_| Errno::NFILE),
        }
    }
}

/// What is to get a second name. `/proc/self/fd/N` with `AT_SYMLINK_FOLLOW` is how a file without a name gets its first.
fn source(work: &Work<'_>, at: PathAt, flags: i32) -> Result<Source, Stop> {
    let mut resolver = work.resolver();
    if flags & libc::AT_EMPTY_PATH != 0 && work.caller.text(at.text)?.is_empty() {
        return Ok(Source::Object(resolver.start(at.directory)?));
    }
    let mut place = resolver.place(at)?;
    if flags & libc::AT_SYMLINK_FOLLOW == 0 {
        return Ok(Source::Place(place));
    }
    loop {
        match resolver.follow(&place)? {
            Some(Followed::Place(next)) => place = next,
            Some(Followed::Object(object)) => return Ok(Source::Object(object)),
            None => return Ok(Source::Place(place)),
        }
    }
}

/// truncate(2) by path.
pub(super) fn truncate(work: &Work<'_>, at: PathAt, length: u64) -> Result<Effect, Stop> {
    let (object, place) = super::attributes::object(work, at, 0)?;
    let policy = work.policy();
    if i64::try_from(length).is_err() {
        return Err(Errno::INVAL.into());
    }
    work.respect_file_size(length)?;
    let link = std::ffi::CString::new(own_link(object.as_fd())).map_err(|_| Errno::INVAL)?;
    // SAFETY: the path is a terminated text that outlives the call.
    let truncate = || unsafe { raw(libc::SYS_truncate, [link.as_ptr() as usize, length as usize, 0, 0, 0, 0]) };
    // Another program may have leased the file.
    let result = work.while_blocked(truncate);
    result.map(Effect::Value).map_err(|errno| match &place {
        Some(place) => judge::explain(&policy, place, Need::Content, errno),
        None => errno.into(),
    })
}

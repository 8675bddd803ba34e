//! May it be done? The policy's answer, and whose answer the caller sees.
//!
//! Where the policy denies and the call would have failed anyway (nothing there, already there, no permission), the caller gets the kernel's own error, and nobody is told: that
//! is no violation. Where the tree is mounted read-only, the kernel refuses by itself and with its own errno, so the call is tried.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{Access as Permission, AtFlags, StatVfsMountFlags};
use rustix::io::Errno;

use super::resolve::{Place, link_of, real_path};
use super::stop::{Denial, Stop};
use crate::policy::{AbsPath, Access, FsEffect, FsPolicy, FsRule};

/// What a call needs of the name that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Something must be there, whose name is taken away.
    Removed,
    /// Something must be there that is changed: its content.
    Content,
    /// Something must be there whose owner may change it: mode, owner, times.
    Metadata,
    /// Whatever is there is replaced by another name.
    Replaced,
    /// Nothing may be there.
    Free,
    /// Whatever is there.
    Any,
}

/// What is to be done about a place.
pub(super) enum Verdict<'a> {
    /// The policy allows it.
    Allowed,
    /// No permission covers it; the kernel says so itself where the tree is read-only.
    NotCovered(&'a FsRule),
    /// A rule forbids it.
    Forbidden(&'a FsRule),
}

/// Asks the policy about writing.
pub(super) fn verdict<'a>(policy: &'a FsPolicy, path: &AbsPath) -> Verdict<'a> {
    let verdict = policy.decide(path, Access::Write);
    match verdict {
        verdict if verdict.allowed => Verdict::Allowed,
        verdict if policy.is_default(verdict.rule) => Verdict::NotCovered(verdict.rule),
        verdict => Verdict::Forbidden(verdict.rule),
    }
}

/// Passes where the call may be made; the kernel may still refuse it, and [`explain`] then tells why.
///
/// # Errors
/// The refusal, or the error that the call would have ended with anyway.
pub(super) fn admit(policy: &FsPolicy, place: &Place, need: Need) -> Result<(), Stop> {
    match verdict(policy, &place.path) {
        Verdict::Allowed => Ok(()),
        Verdict::NotCovered(_) if is_read_only(place) => Ok(()),
        Verdict::NotCovered(rule) | Verdict::Forbidden(rule) => Err(refuse(rule, place, need)),
    }
}

/// The refusal by a rule, unless the call would have failed without it.
///
/// What covers an object that may not be read has modes of its own, which say nothing of the object: only whether there is one counts then.
pub(super) fn refuse(rule: &FsRule, place: &Place, need: Need) -> Stop {
    let failure = if rule.effect == FsEffect::DenyRead { is_missing_or_taken(place, need) } else { would_fail(place, need) };
    match failure {
        Some(errno) => errno.into(),
        None => Denial::by(rule, errno_of(rule), place.path.clone()).into(),
    }
}

/// May the place be read? What is not there is the kernel's to say, where its directory may be read.
///
/// # Errors
/// The refusal.
pub(super) fn admit_reading(policy: &FsPolicy, place: &Place) -> Result<(), Stop> {
    let verdict = policy.decide(&place.path, Access::Read);
    if verdict.allowed {
        return Ok(());
    }
    let shown = place.path.parent().is_some_and(|parent| policy.decide(&parent, Access::Read).allowed);
    match place.object() {
        Err(errno) if shown => Err(errno.into()),
        _ => Err(Denial::reading(verdict.rule, place.path.clone()).into()),
    }
}

/// As [`admit_reading`], for an object that is held open.
///
/// # Errors
/// The refusal.
pub(super) fn admit_object_reading(policy: &FsPolicy, object: &OwnedFd) -> Result<(), Stop> {
    let Some(path) = named(object)? else { return Ok(()) };
    let verdict = policy.decide(&path, Access::Read);
    if verdict.allowed { Ok(()) } else { Err(Denial::reading(verdict.rule, path).into()) }
}

/// A call that the kernel refused: by the policy, whose read-only mounts and Landlock rules it met, or for a reason of its own.
pub(super) fn explain(policy: &FsPolicy, place: &Place, need: Need, errno: Errno) -> Stop {
    // Landlock's errno is also that of plain permissions; and of a read-only mount the kernel says so before it looks whether anything is there.
    if !matches!(errno, Errno::ROFS | Errno::ACCESS) {
        return errno.into();
    }
    match verdict(policy, &place.path) {
        Verdict::Allowed => errno.into(),
        Verdict::NotCovered(rule) | Verdict::Forbidden(rule) => match would_fail(place, need) {
            Some(errno) => errno.into(),
            None => Denial::by(rule, errno, place.path.clone()).into(),
        },
    }
}

/// As [`explain`], for a call on two names. `EXDEV` is the policy's where one file system was mounted in parts.
pub(super) fn explain_pair(policy: &FsPolicy, from: Option<&Place>, to: &Place, need: Need, errno: Errno) -> Stop {
    let by_mounts = errno == Errno::XDEV && from.is_some_and(|from| device(from) == device(to));
    for (place, need) in from.map(|from| (from, Need::Removed)).into_iter().chain([(to, need)]) {
        let stop = match verdict(policy, &place.path) {
            Verdict::NotCovered(rule) | Verdict::Forbidden(rule) if by_mounts => match would_fail(place, need) {
                Some(errno) => errno.into(),
                None => Denial::by(rule, errno, place.path.clone()).into(),
            },
            _ => explain(policy, place, need, errno),
        };
        match stop {
            Stop::Errno(same) if same == errno => {}
            stop => return stop,
        }
    }
    errno.into()
}

fn device(place: &Place) -> Option<u64> {
    rustix::fs::fstat(&place.parent).map(|stat| stat.st_dev).ok()
}

/// As [`admit`], for an object that is held open: judged by the name that it has now. What has none (pipes, memory, files that were removed) is nobody's.
///
/// # Errors
/// The refusal.
pub(super) fn admit_object(policy: &FsPolicy, object: &OwnedFd) -> Result<(), Stop> {
    let Some(path) = named(object)? else { return Ok(()) };
    match verdict(policy, &path) {
        Verdict::Allowed => Ok(()),
        Verdict::NotCovered(_) if is_on_read_only_mount(object) => Ok(()),
        Verdict::NotCovered(rule) | Verdict::Forbidden(rule) => Err(Denial::by(rule, errno_of(rule), path).into()),
    }
}

/// As [`explain`], for an object that is held open.
pub(super) fn explain_object(policy: &FsPolicy, object: &OwnedFd, errno: Errno) -> Stop {
    let path = if errno == Errno::ROFS { named(object).ok().flatten() } else { None };
    match path.as_ref().map(|path| (path, verdict(policy, path))) {
        Some((path, Verdict::NotCovered(rule) | Verdict::Forbidden(rule))) => Denial::by(rule, errno, path.clone()).into(),
        Some((_, Verdict::Allowed)) | None => errno.into(),
    }
}

/// The path of an object that has one.
pub(super) fn named(object: &OwnedFd) -> Result<Option<AbsPath>, Errno> {
    let has_name = rustix::fs::fstat(object)?.st_nlink > 0 && link_of(object.as_fd())?.to_bytes().first() == Some(&b'/');
    if has_name { real_path(object.as_fd()).map(Some) } else { Ok(None) }
}

fn errno_of(rule: &FsRule) -> Errno {
    if rule.effect == FsEffect::DenyRead { Errno::ACCESS } else { Errno::PERM }
}

/// Both the directory, which holds the name, and what is there, which may be a mount of its own.
fn is_read_only(place: &Place) -> bool {
    is_on_read_only_mount(&place.parent) && place.object().map_or(true, |object| is_on_read_only_mount(&object))
}

fn is_on_read_only_mount(object: &OwnedFd) -> bool {
    rustix::fs::fstatvfs(object).is_ok_and(|info| info.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// The error of a call that wants a name to be free, or not.
fn is_missing_or_taken(place: &Place, need: Need) -> Option<Errno> {
    match (need, place.object()) {
        (Need::Free, Ok(_)) => Some(Errno::EXIST),
        (Need::Removed | Need::Content | Need::Metadata, Err(errno)) => Some(errno),
        _ => None,
    }
}

/// The error of a call whatever the policy says; read-only mounts are the policy's, so `EROFS` is none.
fn would_fail(place: &Place, need: Need) -> Option<Errno> {
    let found = rustix::fs::statat(&place.parent, &*place.name, AtFlags::SYMLINK_NOFOLLOW);
    match (need, found) {
        (Need::Free, Ok(_)) => return Some(Errno::EXIST),
        (Need::Removed | Need::Content | Need::Metadata, Err(errno)) => return Some(errno),
        (Need::Metadata, Ok(stat)) => {
            return (stat.st_uid != rustix::process::geteuid().as_raw()).then_some(Errno::PERM);
        }
        (Need::Content, Ok(_)) => return lacks(place, &place.name, Permission::WRITE_OK),
        (Need::Any, Ok(_)) => return lacks(place, &place.name, Permission::WRITE_OK),
        (Need::Free | Need::Any | Need::Replaced, Err(Errno::NOENT)) | (Need::Removed | Need::Replaced, Ok(_)) => {}
        (_, Err(errno)) => return Some(errno),
    }
    if matches!(need, Need::Removed | Need::Replaced) && is_held_by_sticky_directory(place) {
        return Some(Errno::PERM);
    }
    lacks(place, c".", Permission::WRITE_OK | Permission::EXEC_OK)
}

/// In a sticky directory, whose neither it nor the file is removes nothing (unlink(2)).
fn is_held_by_sticky_directory(place: &Place) -> bool {
    const STICKY: u32 = 0o1000;
    let own = rustix::process::geteuid().as_raw();
    let (Ok(directory), Ok(object)) = (rustix::fs::fstat(&place.parent), place.object().and_then(rustix::fs::fstat)) else { return false };
    directory.st_mode & STICKY != 0 && directory.st_uid != own && object.st_uid != own
}

fn lacks(place: &Place, name: &std::ffi::CStr, wanted: Permission) -> Option<Errno> {
    match rustix::fs::accessat(place.parent.as_fd(), name, wanted, AtFlags::empty()) {
        Ok(()) | Err(Errno::ROFS) => None,
        Err(errno) => Some(errno),
    }
}

//! Calls that change what is known of a file: mode, owner, times, extended attributes.
//!
//! The object is opened by the name that was judged, without any right to its content, and changed through that descriptor. Descriptors of the caller are judged too where they
//! are not open for writing: whoever may only read a file must not make it executable.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::super::sys::raw;
use super::call::{Change, PathAt, Subject, TimeFormat};
use super::judge::{self, Need, Verdict};
use super::resolve::{Followed, Place, own_link};
use super::stop::Stop;
use super::work::{Effect, Work};

/// Longest name and value of an extended attribute (xattr(7)).
const NAME_MAX: usize = 255;
const VALUE_MAX: u64 = 65_536;

/// A change with everything that its pointers led to.
enum Copied {
    Mode(u32),
    Owner(u32, u32),
    /// Two `timespec`; `None`: now.
    Times(Option<[i64; 4]>),
    SetAttribute(CString, Vec<u8>, i32),
    RemoveAttribute(CString),
}

/// Performs the change.
pub(super) fn change(work: &Work<'_>, subject: Subject, change: Change) -> Result<Effect, Stop> {
    let copied = copy(work, change)?;
    match subject {
        Subject::Descriptor(number) => by_descriptor(work, number, &copied),
        Subject::Path { at, flags } => {
            if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
                return Err(Errno::INVAL.into());
            }
            let (object, place) = object(work, at, flags)?;
            let policy = work.policy();
            apply(&object, &copied).map(Effect::Value).map_err(|errno| match &place {
                Some(place) => judge::explain(&policy, place, need(&copied), errno),
                None => judge::explain_object(&policy, &object, errno),
            })
        }
    }
}

fn need(change: &Copied) -> Need {
    match change {
        Copied::Mode(_) | Copied::Owner(..) | Copied::Times(Some(_)) => Need::Metadata,
        Copied::Times(None) | Copied::SetAttribute(..) | Copied::RemoveAttribute(_) => Need::Content,
    }
}

fn copy(work: &Work<'_>, change: Change) -> Result<Copied, Stop> {
    Ok(match change {
        Change::Mode(mode) => {
            if mode & 0o6000 != 0 {
                work.refuse_set_id()?;
            }
            Copied::Mode(mode)
        }
        Change::Owner(owner, group) => Copied::Owner(owner, group),
        Change::Times(0, _) => Copied::Times(None),
        Change::Times(address, format) => Copied::Times(Some(times(work, address, format)?)),
        Change::SetAttribute { name, value, size, flags } => {
            if size > VALUE_MAX {
                return Err(Errno::TOOBIG.into());
            }
            Copied::SetAttribute(attribute_name(work, name)?, work.caller.bytes(value, size as usize)?, flags)
        }
        Change::RemoveAttribute { name } => Copied::RemoveAttribute(attribute_name(work, name)?),
    })
}

fn attribute_name(work: &Work<'_>, address: u64) -> Result<CString, Errno> {
    let name = work.caller.text(address)?;
    if name.is_empty() || name.as_bytes().len() > NAME_MAX { Err(Errno::RANGE) } else { Ok(name) }
}

/// Seconds and nanoseconds of both times, from any of the three layouts.
fn times(work: &Work<'_>, address: u64, format: TimeFormat) -> Result<[i64; 4], Errno> {
    let words = |bytes: &[u8]| -> Vec<i64> {
        bytes.chunks_exact(8).map(|chunk| i64::from_ne_bytes(chunk.try_into().unwrap_or_default())).collect()
    };
    match format {
        TimeFormat::Seconds => match words(&work.caller.array::<16>(address)?)[..] {
            [access, modification] => Ok([access, 0, modification, 0]),
            _ => Err(Errno::FAULT),
        },
        TimeFormat::Nanoseconds | TimeFormat::Microseconds => match words(&work.caller.array::<32>(address)?)[..] {
            [a, b, c, d] if format == TimeFormat::Nanoseconds => Ok([a, b, c, d]),
            [a, b, c, d] if [b, d].iter().all(|micros| (0..1_000_000).contains(micros)) => Ok([a, b * 1000, c, d * 1000]),
            _ => Err(Errno::INVAL),
        },
    }
}

/// Opens what a path leads to, and judges each name on the way; the last one is returned too, where there is one.
pub(super) fn object(work: &Work<'_>, at: PathAt, flags: i32) -> Result<(OwnedFd, Option<Place>), Stop> {
    let policy = work.policy();
    let mut resolver = work.resolver();
    if flags & libc::AT_EMPTY_PATH != 0 && work.caller.text(at.text)?.is_empty() {
        let object = resolver.start(at.directory)?;
        work.caller.check()?;
        judge::admit_object(&policy, &object)?;
        return Ok((object, None));
    }
    let mut place = resolver.place(at)?;
    work.caller.check()?;
    loop {
        if let Verdict::Forbidden(rule) = judge::verdict(&policy, &place.path) {
            return Err(judge::refuse(rule, &place, Need::Metadata));
        }
        let stays = flags & libc::AT_SYMLINK_NOFOLLOW != 0 && !place.directory;
        match if stays { None } else { resolver.follow(&place)? } {
            Some(Followed::Place(next)) => place = next,
            Some(Followed::Object(object)) => {
                judge::admit_object(&policy, &object)?;
                return Ok((object, None));
            }
            None => break,
        }
    }
    judge::admit(&policy, &place, Need::Metadata)?;
    let object = place.object()?;
    if place.directory && FileType::from_raw_mode(rustix::fs::fstat(&object)?.st_mode) != FileType::Directory {
        return Err(Errno::NOTDIR.into());
    }
    Ok((object, Some(place)))
}

fn by_descriptor(work: &Work<'_>, number: i32, change: &Copied) -> Result<Effect, Stop> {
    let object = work.caller.descriptor(number)?;
    work.caller.check()?;
    let flags = rustix::fs::fcntl_getfl(&object)?;
    if flags.contains(OFlags::PATH) {
        return Err(Errno::BADF.into());
    }
    let policy = work.policy();
    // The caller's terminal, above all: on a device of the host, a mode would stay.
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&object)?.st_mode);
    if work.broker.spec.on_host && matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
        return Err(work.refused(Errno::PERM, "fs.dev").into());
    }
    if flags & OFlags::ACCMODE == OFlags::RDONLY {
        judge::admit_object(&policy, &object)?;
    }
    apply_to_open(&object, change).map(Effect::Value).map_err(|errno| judge::explain_object(&policy, &object, errno))
}

/// On an object opened with `O_PATH`: by the name under which this process holds it, which leads to the object itself, be it a link.
fn apply(object: &OwnedFd, change: &Copied) -> Result<i64, Errno> {
    let link = CString::new(own_link(object.as_fd())).map_err(|_| Errno::INVAL)?;
    let path = link.as_ptr() as usize;
    let here = libc::AT_FDCWD as usize;
    // SAFETY: every pointer is to a text or an array of ours that outlives the call, of the size that the call takes.
    unsafe {
        match change {
            Copied::Mode(mode) => raw(libc::SYS_fchmodat, [here, path, *mode as usize, 0, 0, 0]),
            Copied::Owner(owner, group) => {
                let empty: &CStr = c"";
                let flags = libc::AT_EMPTY_PATH as usize;
                raw(libc::SYS_fchownat, [object.as_raw_fd() as usize, empty.as_ptr() as usize, *owner as usize, *group as usize, flags, 0])
            }
            Copied::Times(times) => raw(libc::SYS_utimensat, [here, path, pointer(times), 0, 0, 0]),
            Copied::SetAttribute(name, value, flags) => {
                raw(libc::SYS_setxattr, [path, name.as_ptr() as usize, value.as_ptr() as usize, value.len(), *flags as usize, 0])
            }
            Copied::RemoveAttribute(name) => raw(libc::SYS_removexattr, [path, name.as_ptr() as usize, 0, 0, 0, 0]),
        }
    }
}

fn apply_to_open(object: &OwnedFd, change: &Copied) -> Result<i64, Errno> {
    let number = object.as_raw_fd() as usize;
    // SAFETY: as in `apply`.
    unsafe {
        match change {
            Copied::Mode(mode) => raw(libc::SYS_fchmod, [number, *mode as usize, 0, 0, 0, 0]),
            Copied::Owner(owner, group) => raw(libc::SYS_fchown, [number, *owner as usize, *group as usize, 0, 0, 0]),
            Copied::Times(times) => raw(libc::SYS_utimensat, [number, 0, pointer(times), 0, 0, 0]),
            Copied::SetAttribute(name, value, flags) => {
                raw(libc::SYS_fsetxattr, [number, name.as_ptr() as usize, value.as_ptr() as usize, value.len(), *flags as usize, 0])
            }
            Copied::RemoveAttribute(name) => raw(libc::SYS_fremovexattr, [number, name.as_ptr() as usize, 0, 0, 0, 0]),
        }
    }
}

fn pointer(times: &Option<[i64; 4]>) -> usize {
    times.as_ref().map_or(0, |times| times.as_ptr() as usize)
}

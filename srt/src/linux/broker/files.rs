//! open(2) with write intent.
//!
//! The file is opened here, by the name that was judged, and its descriptor given to the caller. Never through a link in last place: where one leads is judged as a name
//! of its own.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::call::{Call, PathAt, WRITE_INTENT};
use super::judge::{self, Need, Verdict};
use super::resolve::{Followed, Place, own_link, real_path};
use super::stop::{Denial, Stop, Target};
use super::work::{Effect, Work};
use crate::policy::{AbsPath, FsPolicy};

/// What an open asks for beside the path.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    pub(super) flags: i32,
    pub(super) mode: u32,
}

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

impl Opening {
    fn has(self, flag: i32) -> bool {
        self.flags & flag == flag
    }

    fn need(self) -> Need {
        match (self.has(libc::O_CREAT), self.has(libc::O_EXCL)) {
            (true, true) => Need::Free,
            (true, false) => Need::Any,
            _ => Need::Content,
        }
    }

    /// Does a link in last place lead on? Not for a new file, nor where the caller says so.
    fn follows(self) -> bool {
        !self.has(libc::O_NOFOLLOW) && !self.has(libc::O_CREAT | libc::O_EXCL)
    }

    fn makes_set_id(self) -> bool {
        let makes = self.has(libc::O_CREAT) || self.is_nameless();
        makes && self.mode & SET_ID != 0
    }

    fn is_nameless(self) -> bool {
        self.has(libc::O_TMPFILE)
    }
}

/// Performs the open.
pub(super) fn open(work: &Work<'_>, at: PathAt, opening: Opening) -> Result<Effect, Stop> {
    let policy = work.policy();
    let mut resolver = work.resolver();
    let mut place = resolver.place(at)?;
    work.caller.check()?;
    if opening.makes_set_id() {
        work.refuse_set_id()?;
    }
    loop {
        if opening.is_nameless() {
            return match if opening.has(libc::O_NOFOLLOW) { None } else { resolver.follow(&place)? } {
                Some(Followed::Place(next)) => {
                    place = next;
                    continue;
                }
                Some(Followed::Object(object)) => nameless(work, &policy, object, opening),
                None => nameless(work, &policy, place.object()?, opening),
            };
        }
        // Reading what is there changes nothing, though the caller would have made it (flock(1)).
        if let Some(file) = existing(work, &policy, &place, opening)? {
            return Ok(finish(file, opening));
        }
        if let Some(rule) = policy.denies_file(&place.path)
            && !is_directory(&place)
        {
            return Err(judge::refuse(rule, &place, opening.need()));
        }
        // What lies behind a link may be allowed where its own name is not covered; a name that is forbidden is no way to anything.
        let blocked = match judge::verdict(&policy, &place.path) {
            Verdict::Forbidden(rule) => return Err(judge::refuse(rule, &place, opening.need())),
            Verdict::NotCovered(_) => true,
            Verdict::Allowed => false,
        };
        if blocked && !opening.follows() {
            judge::admit(&policy, &place, opening.need())?;
        }
        if !blocked || !opening.follows() {
            match attempt(work, &place, opening) {
                Err(Errno::LOOP) if opening.follows() => {}
                Err(errno) => return Err(judge::explain(&policy, &place, opening.need(), errno)),
                Ok(file) => return Ok(finish(file, opening)),
            }
        }
        match resolver.follow(&place)? {
            Some(Followed::Place(next)) => place = next,
            Some(Followed::Object(object)) => return reopen(work, &policy, &place, object, opening),
            None => {
                judge::admit(&policy, &place, opening.need())?;
                return match attempt(work, &place, opening) {
                    Ok(file) => Ok(finish(file, opening)),
                    Err(errno) => Err(judge::explain(&policy, &place, opening.need(), errno)),
                };
            }
        }
    }
}

/// The file, where the call would only read one that is there already, and the policy denies writing it.
fn existing(work: &Work<'_>, policy: &FsPolicy, place: &Place, opening: Opening) -> Result<Option<OwnedFd>, Stop> {
    let reads = opening.flags & (libc::O_ACCMODE | libc::O_TRUNC | libc::O_EXCL) == libc::O_RDONLY && !opening.is_nameless();
    if !reads || matches!(judge::verdict(policy, &place.path), Verdict::Allowed) {
        return Ok(None);
    }
    let plain = Opening { flags: opening.flags & !libc::O_CREAT, ..opening };
    Ok(attempt(work, place, plain).ok())
}

fn is_directory(place: &Place) -> bool {
    place.object().and_then(rustix::fs::fstat).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn finish(file: OwnedFd, opening: Opening) -> Effect {
    Effect::Descriptor { file, close_on_exec: opening.has(libc::O_CLOEXEC) }
}

/// Opens the place itself.
fn attempt(work: &Work<'_>, place: &Place, opening: Opening) -> Result<OwnedFd, Errno> {
    if place.path.as_bytes() == b"/dev/tty" {
        return super::terminal::open(&work.caller, opening.flags);
    }
    if opening.has(libc::O_CREAT) {
        work.take_umask()?;
    }
    // A slash at the end would make the kernel follow a link; without one, only a directory may be there, and none can be opened for writing.
    if place.directory {
        return Err(if opening.has(libc::O_CREAT) { Errno::ISDIR } else { not_a_file(place) });
    }
    // Not by O_NOFOLLOW, which the caller would find among the flags of its descriptor.
    open_patiently(work, place.parent.as_fd(), &place.name, opening, ResolveFlags::NO_SYMLINKS)
}

fn not_a_file(place: &Place) -> Errno {
    match place.object().and_then(rustix::fs::fstat) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Errno::ISDIR,
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => Errno::LOOP,
        Ok(_) => Errno::NOTDIR,
        Err(errno) => errno,
    }
}

/// Every flag of open(2) that the kernel knows; openat2(2) refuses others, which open(2) ignores.
const KNOWN: i32 = libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_EXCL
    | libc::O_NOCTTY
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_ASYNC
    | libc::O_DIRECT
    | LARGE_FILE
    | libc::O_DIRECTORY
    | libc::O_NOFOLLOW
    | libc::O_NOATIME
    | libc::O_CLOEXEC
    | libc::O_TMPFILE;
/// `O_LARGEFILE`, which open(2) sets by itself for 64-bit programs and openat2(2) does not.
#[cfg(target_arch = "x86_64")]
const LARGE_FILE: i32 = 0o100_000;
#[cfg(target_arch = "aarch64")]
const LARGE_FILE: i32 = 0o400_000;

/// First without waiting, so that the broker is not held up; where that is not possible, waiting, on a thread that others do not need.
fn open_patiently(
    work: &Work<'_>,
    directory: BorrowedFd<'_>,
    name: &CStr,
    opening: Opening,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let flags = (opening.flags & KNOWN | LARGE_FILE | libc::O_NOCTTY | libc::O_CLOEXEC) & !libc::O_NONBLOCK;
    // openat2(2) takes a mode only with a file that is made.
    let mode = if opening.has(libc::O_CREAT) { mode(opening.mode) } else { Mode::empty() };
    let open = |flags: i32| rustix::fs::openat2(directory, name, OFlags::from_bits_retain(flags as u32), mode, resolve);
    if opening.has(libc::O_NONBLOCK) {
        return open(flags | libc::O_NONBLOCK);
    }
    // A new file makes nobody wait.
    if opening.has(libc::O_CREAT | libc::O_EXCL) {
        return open(flags);
    }
    match open(flags | libc::O_NONBLOCK) {
        // A FIFO that nobody reads yet; a file that another program has leased.
        Err(Errno::NXIO | Errno::AGAIN) => work.while_blocked(|| open(flags)),
        Ok(file) if opening.flags & libc::O_ACCMODE == libc::O_RDONLY && is_fifo(&file) => work.while_blocked(|| open(flags)),
        Ok(file) => {
            let status = OFlags::from_bits_retain((opening.flags & !libc::O_NONBLOCK) as u32);
            rustix::fs::fcntl_setfl(&file, status)?;
            Ok(file)
        }
        Err(errno) => Err(errno),
    }
}

fn mode(bits: u32) -> Mode {
    Mode::from_bits_truncate(bits & 0o7777)
}

fn is_fifo(file: impl AsFd) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

/// `/dev/stdout`, `/proc/self/fd/3`: the object that the caller's link leads to, opened anew.
fn reopen(work: &Work<'_>, policy: &FsPolicy, place: &Place, object: OwnedFd, opening: Opening) -> Result<Effect, Stop> {
    if super::terminal::is_tty(&object) {
        return Ok(finish(super::terminal::open(&work.caller, opening.flags)?, opening));
    }
    // What the caller can write through a descriptor, it may open by the descriptor's name.
    if !work.holds(place, &object, OFlags::RDONLY) {
        judge::admit_object(policy, &object)?;
    }
    let name = std::ffi::CString::new(own_link(object.as_fd())).map_err(|_| Errno::INVAL)?;
    let file =
        open_patiently(work, CWD, &name, opening, ResolveFlags::empty()).map_err(|errno| judge::explain_object(policy, &object, errno))?;
    Ok(finish(file, opening))
}

fn same_object(one: &OwnedFd, other: &OwnedFd) -> bool {
    let identity = |file: &OwnedFd| rustix::fs::fstat(file).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// `O_TMPFILE`: a file without a name in a directory. It gets a name by link(2), which is judged.
fn nameless(work: &Work<'_>, policy: &FsPolicy, directory: OwnedFd, opening: Opening) -> Result<Effect, Stop> {
    let path = real_path(directory.as_fd())?;
    if let Verdict::Forbidden(rule) = judge::verdict(policy, &path) {
        return Err(Denial::by(rule, Errno::PERM, path).into());
    }
    work.take_umask()?;
    let flags = (opening.flags | libc::O_CLOEXEC) & !libc::O_NOFOLLOW;
    let file = rustix::fs::openat(&directory, c".", OFlags::from_bits_retain(flags as u32), mode(opening.mode))
        .map_err(|errno| judge::explain_object(policy, &directory, errno))?;
    Ok(finish(file, opening))
}

/// An open for reading, where no mount hides what may not be read: performed here, by the name that was judged.
pub(super) fn read(work: &Work<'_>, at: PathAt, flags: i32) -> Result<Effect, Stop> {
    debug_assert_eq!(flags & WRITE_INTENT, 0);
    open_judged(work, at, flags).map_err(Stop::of_reading)
}

fn open_judged(work: &Work<'_>, at: PathAt, flags: i32) -> Result<Effect, Stop> {
    let policy = work.policy();
    let opening = Opening { flags, mode: 0 };
    let mut resolver = work.resolver();
    let mut place = resolver.place(at)?;
    work.caller.check()?;
    loop {
        judge::admit_reading(&policy, &place)?;
        match open_for_reading(work, &place, opening) {
            Ok(file) => return Ok(finish(file, opening)),
            Err(Errno::LOOP) if opening.follows() => {}
            Err(errno) => return Err(errno.into()),
        }
        match resolver.follow(&place)? {
            Some(Followed::Place(next)) => place = next,
            Some(Followed::Object(object)) => return reread(work, &policy, &place, object, opening),
            None => return Err(Errno::LOOP.into()),
        }
    }
}

fn open_for_reading(work: &Work<'_>, place: &Place, opening: Opening) -> Result<OwnedFd, Errno> {
    if place.path.as_bytes() == b"/dev/tty" {
        return super::terminal::open(&work.caller, opening.flags);
    }
    let must_be = if place.directory { libc::O_DIRECTORY } else { 0 };
    let opening = Opening { flags: opening.flags | must_be, ..opening };
    open_patiently(work, place.parent.as_fd(), &place.name, opening, ResolveFlags::NO_SYMLINKS)
}

/// `/dev/stdin`, `/proc/self/fd/3`, `/proc/self/exe`: what the caller reads through a descriptor it may open by the descriptor's name; anything else is judged by the name that it has.
fn reread(work: &Work<'_>, policy: &FsPolicy, place: &Place, object: OwnedFd, opening: Opening) -> Result<Effect, Stop> {
    if super::terminal::is_tty(&object) {
        return Ok(finish(super::terminal::open(&work.caller, opening.flags)?, opening));
    }
    if !work.holds(place, &object, OFlags::WRONLY) {
        judge::admit_object_reading(policy, &object)?;
    }
    let name = std::ffi::CString::new(own_link(object.as_fd())).map_err(|_| Errno::INVAL)?;
    Ok(finish(open_patiently(work, CWD, &name, opening, ResolveFlags::empty())?, opening))
}

/// An open for reading, where those are watched: what the policy hides is told of. The kernel performs it: it is the mounts that deny.
pub(super) fn look(work: &Work<'_>, at: PathAt, flags: i32) -> Result<Effect, Stop> {
    debug_assert_eq!(flags & WRITE_INTENT, 0);
    if let Some(path) = hidden(work, at, flags) {
        let rule = work.policy().decide(&path, crate::policy::Access::Read).rule.id.to_string();
        work.tell(&Denial { errno: Errno::ACCESS, target: Target::Read(path), rule });
    }
    Ok(Effect::LetGo)
}

/// The real path, where it may not be read and something is there.
fn hidden(work: &Work<'_>, at: PathAt, flags: i32) -> Option<AbsPath> {
    let policy = work.policy();
    match seen(work, at, flags) {
        Seen::Path(path) => return (!policy.decide(&path, crate::policy::Access::Read).allowed).then_some(path),
        Seen::Nothing => return None,
        Seen::Unclear => {}
    }
    let mut resolver = work.resolver();
    let mut place = match resolver.place(at) {
        Ok(place) => place,
        Err(_) => return hidden_above(work, &policy, at),
    };
    loop {
        if !policy.decide(&place.path, crate::policy::Access::Read).allowed {
            return (place.object().err() != Some(Errno::NOENT)).then_some(place.path);
        }
        if flags & libc::O_NOFOLLOW != 0 {
            return None;
        }
        match resolver.follow(&place).ok()? {
            Some(Followed::Place(next)) => place = next,
            Some(Followed::Object(_)) | None => return None,
        }
    }
}

/// Where a path leads, as far as the kernel can say it at once.
enum Seen {
    /// To this object.
    Path(AbsPath),
    /// To nothing, or to nothing that could be hidden.
    Nothing,
    /// It must be walked: procfs has a part in it, or something on the way cannot be passed.
    Unclear,
}

fn seen(work: &Work<'_>, at: PathAt, flags: i32) -> Seen {
    let Ok(text) = work.caller.text(at.text) else { return Seen::Nothing };
    let absolute = text.as_bytes().first() == Some(&b'/');
    let start = if absolute { None } else { work.resolver().start(at.directory).ok() };
    let base = start.as_ref().map_or(work.broker.root(), OwnedFd::as_fd);
    let follow = if flags & libc::O_NOFOLLOW != 0 { OFlags::NOFOLLOW } else { OFlags::empty() };
    match rustix::fs::openat2(base, &*text, OFlags::PATH | OFlags::CLOEXEC | follow, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        Ok(object) => real_path(object.as_fd()).map_or(Seen::Nothing, Seen::Path),
        Err(Errno::NOENT | Errno::NOTDIR) => Seen::Nothing,
        Err(_) => Seen::Unclear,
    }
}

/// A call that could not be resolved because a directory on its way is hidden: the policy's denial.
pub(super) fn explain_closed_way(work: &Work<'_>, call: Call, stop: Stop) -> Stop {
    if !matches!(stop, Stop::Errno(Errno::ACCESS)) {
        return stop;
    }
    let policy = work.policy();
    let hidden = call.changed_paths().into_iter().flatten().find_map(|at| {
        let closed = matches!(work.resolver().place(at), Err(Stop::Errno(Errno::ACCESS)));
        closed.then(|| hidden_above(work, &policy, at)).flatten()
    });
    match hidden {
        Some(path) => Denial::by(policy.decide(&path, crate::policy::Access::Read).rule, Errno::ACCESS, path.clone()).into(),
        None => stop,
    }
}

/// A path through a hidden directory cannot be resolved: judged as it is written.
fn hidden_above(work: &Work<'_>, policy: &FsPolicy, at: PathAt) -> Option<AbsPath> {
    let text = work.caller.text(at.text).ok()?;
    let base = if text.as_bytes().first() == Some(&b'/') {
        AbsPath::root()
    } else {
        real_path(work.resolver().start(at.directory).ok()?.as_fd()).ok()?
    };
    let path = AbsPath::resolve(&base, std::path::Path::new(std::ffi::OsStr::from_bytes(text.as_bytes())));
    (!policy.decide(&path, crate::policy::Access::Read).allowed).then_some(path)
}

impl Work<'_> {
    /// Is the caller's descriptor of that number of this very object, and open for more than this one access mode (`O_RDONLY`, `O_WRONLY`)? The entry in `/proc` is of the process,
    /// which may have put another there since.
    fn holds(&self, place: &Place, object: &OwnedFd, only: OFlags) -> bool {
        let number = || place.name.to_str().ok()?.parse::<i32>().ok();
        let copy = number().and_then(|number| self.caller.descriptor(number).ok());
        copy.is_some_and(|copy| {
            same_object(&copy, object)
                && rustix::fs::fcntl_getfl(&copy).is_ok_and(|flags| flags & OFlags::ACCMODE != only && !flags.contains(OFlags::PATH))
        })
    }
}

//! The second layer for files: Landlock.
//!
//! Mounts are the first layer and refuse every write outside the write roots. Landlock says the same in terms of what is written to, so that a hole in one
//! is not a hole in both. Only rights that change names or contents at `open` time are handled: a handled right that is decided when a file is opened costs a walk
//! to the root at *every* open, so truncation and device ioctls, which the read-only mounts and the private `/dev` settle, are left out.
//! Where there are no namespaces, and so no mounts, Landlock is the first layer and handles those too.
//!
//! From ABI 9 on (Linux 7.1) the kernel also holds which UNIX sockets may be connected to by path; those that were made in the domain always may.
//!
//! Landlock judges inodes: rules on objects of the host are opened before the fork, those on objects that only the sandbox has, in it.
//!
//! See landlock(7).

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use landlock::{
    AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::failure::{Failure, Step as _};
use super::script::Confinement;
use super::sys::raw;
use crate::policy::AbsPath;

/// Objects that only exist inside: the whole private `/dev`, and `/proc`, whose knobs are read-only mounts.
const INNER_ROOTS: &[&str] = &["/dev", "/proc"];

/// Where terminals are, of the host and of the command.
const TERMINALS: &[&str] = &["/dev/pts"];

/// Rights handled in an ABI: ABI 1 has no `REFER`, and without it refuses every rename between directories.
fn handled(abi: u32) -> BitFlags<AccessFs> {
    let mut rights = AccessFs::WriteFile
        | AccessFs::RemoveDir
        | AccessFs::RemoveFile
        | AccessFs::MakeChar
        | AccessFs::MakeDir
        | AccessFs::MakeReg
        | AccessFs::MakeSock
        | AccessFs::MakeFifo
        | AccessFs::MakeBlock
        | AccessFs::MakeSym;
    if abi >= 2 {
        rights |= AccessFs::Refer;
    }
    rights
}

/// Where no mount is read-only, truncating and requests to devices are handled too; each makes every open slower.
fn handled_for(confinement: &Confinement) -> BitFlags<AccessFs> {
    let mut rights = handled(confinement.landlock_abi);
    if !confinement.own_tree && confinement.landlock_abi >= 3 {
        rights |= AccessFs::Truncate;
    }
    if !confinement.own_tree && confinement.landlock_abi >= 5 {
        rights |= AccessFs::IoctlDev;
    }
    rights
}

/// Makes the ruleset, with the rules on objects of the host.
///
/// # Errors
/// A write root that has vanished: a dropped rule would be a weaker policy than the one that was shown.
pub(super) fn prepare(confinement: &Confinement, pass_fds: &[RawFd]) -> Result<Option<RulesetCreated>, Failure> {
    if confinement.landlock_abi == 0 {
        return Ok(None);
    }
    let rights = handled_for(confinement);
    let sockets = confinement.unix_sockets.as_deref();
    let all = if sockets.is_some() { rights | AccessFs::ResolveUnix } else { rights };
    let mut ruleset = create(all, confinement.landlock_scopes).map_err(|error| refused("make a Landlock ruleset", &error))?;
    for socket in sockets.unwrap_or_default() {
        let object = open_nearest(socket).step_at("open the listed socket", socket)?;
        ruleset = ruleset
            .add_rule(PathBeneath::new(object, AccessFs::ResolveUnix))
            .map_err(|error| refused("allow a listed UNIX socket", &error))?;
    }
    for root in &confinement.write_roots {
        let object = open(root).step_at("open write root", root)?;
        ruleset = allow(ruleset, object, rights).step_at("allow writing beneath", root)?;
    }
    // What the command was given for writing it may open again by name: `echo x >/dev/stderr`.
    for object in [0, 1, 2].iter().chain(pass_fds).filter_map(|descriptor| given_for_writing(*descriptor)) {
        ruleset = allow(ruleset, object, rights).step("allow writing to what was passed")?;
    }
    Ok(Some(ruleset))
}

/// A domain of the command's own within the one that it shares with `init`, so that it can neither signal nor trace `init`: to be entered by [`enter`] where no pid
/// namespace does that. `None` without scopes.
///
/// # Errors
/// As landlock_create_ruleset(2).
pub(super) fn inner(confinement: &Confinement) -> Result<Option<OwnedFd>, Failure> {
    if confinement.own_tree || !confinement.landlock_scopes {
        return Ok(None);
    }
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal).and_then(Ruleset::create);
    Ok(ruleset.map_err(|error| refused("make the command's own Landlock ruleset", &error))?.into())
}

/// Puts the calling thread into a domain for ever. Allocates nothing.
///
/// # Errors
/// As landlock_restrict_self(2); it wants `no_new_privs`.
pub(super) fn enter(ruleset: &OwnedFd) -> Result<(), Errno> {
    // SAFETY: the call takes numbers.
    unsafe { raw(libc::SYS_landlock_restrict_self, [ruleset.as_raw_fd() as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

fn create(rights: BitFlags<AccessFs>, scopes: bool) -> Result<RulesetCreated, RulesetError> {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(rights)?;
    let ruleset = if scopes { ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal)? } else { ruleset };
    ruleset.create()
}

/// Adds the rules on objects of the sandbox, and restricts this process for ever. Sets `no_new_privs`.
///
/// # Errors
/// Anything less than full enforcement of what was asked.
pub(super) fn restrict(ruleset: RulesetCreated, confinement: &Confinement) -> Result<(), Failure> {
    let mut ruleset = ruleset;
    let rights = handled_for(confinement);
    // The kernel opens the other end of a terminal that the command makes (ioctl_tty(2), `TIOCGPTPEER`) as the command would; by name, the broker opens none.
    let roots = if confinement.own_tree { INNER_ROOTS } else { TERMINALS };
    for root in roots.iter().filter(|root| confinement.own_tree || std::path::Path::new(root).exists()) {
        let object = rustix::fs::openat(CWD, *root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).step_named("open", root)?;
        ruleset = allow(ruleset, object, rights).step_named("allow writing beneath", root)?;
    }
    let RestrictionStatus { ruleset, .. } = ruleset.restrict_self().map_err(|error| refused("enter the Landlock domain", &error))?;
    if ruleset == RulesetStatus::FullyEnforced { Ok(()) } else { Err(Failure::new("enforce all of the Landlock ruleset", Errno::NOTSUP)) }
}

/// A rule on something that is not a directory may only hold rights that files have.
fn allow(ruleset: RulesetCreated, object: OwnedFd, rights: BitFlags<AccessFs>) -> Result<RulesetCreated, Errno> {
    let directory = FileType::from_raw_mode(rustix::fs::fstat(&object)?.st_mode) == FileType::Directory;
    let rights = if directory { rights } else { rights & (AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev) };
    ruleset.add_rule(PathBeneath::new(object, rights)).map_err(|_| Errno::INVAL)
}

/// The file or device behind a descriptor that is open for writing. Pipes and sockets need no rule.
fn given_for_writing(descriptor: RawFd) -> Option<OwnedFd> {
    let object = rustix::fs::openat(CWD, format!("/proc/self/fd/{descriptor}"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // SAFETY: the number was open a moment ago, in a process of one thread.
    let flags = rustix::fs::fcntl_getfl(unsafe { BorrowedFd::borrow_raw(descriptor) }).ok()?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&object).ok()?.st_mode);
    let writable = flags & OFlags::ACCMODE != OFlags::RDONLY;
    (writable && matches!(kind, FileType::RegularFile | FileType::CharacterDevice)).then_some(object)
}

fn open(path: &AbsPath) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, path.as_path(), OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// What is there, or the nearest directory above it.
fn open_nearest(path: &AbsPath) -> Result<OwnedFd, Errno> {
    let mut result = Err(Errno::NOENT);
    for ancestor in path.ancestors() {
        result = open(&ancestor);
        if result.as_ref().err() != Some(&Errno::NOENT) {
            break;
        }
    }
    result
}

fn refused(action: &str, error: &RulesetError) -> Failure {
    Failure::new(format!("{action} ({error})"), Errno::NOTSUP)
}

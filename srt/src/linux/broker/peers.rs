//! Which UNIX sockets may be reached by path.
//!
//! Those that the settings name, and those that the sandbox made itself. The latter are known by their object, not by their name: a program of the host may have put a
//! socket into a write root, or may do so later under the same name.

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, StatxFlags};
use rustix::io::Errno;

use super::resolve::{Base, Followed, real_path};
use super::stop::{Denial, Stop, Target};
use super::work::Work;
use crate::policy::{AbsPath, Matcher};

/// Sockets remembered; the oldest are forgotten, and no longer reached.
const MAX_OWN: usize = 16_384;

/// Sockets that are held open, because their file system tells no time of birth.
const MAX_HELD: usize = 512;

/// Device, inode, and time of birth: an inode number alone is used again.
type Identity = (u32, u32, u64, i64, u32);

/// Sockets that were made inside.
#[derive(Debug, Default)]
pub(super) struct Peers(Mutex<Own>);

#[derive(Debug, Default)]
struct Own {
    known: HashSet<Identity>,
    order: VecDeque<Identity>,
    held: VecDeque<OwnedFd>,
}

impl Peers {
    /// A socket that the sandbox has just made.
    pub(super) fn add(&self, object: OwnedFd) -> Result<(), Errno> {
        let (identity, born) = identity(object.as_fd())?;
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if own.known.insert(identity) {
            own.order.push_back(identity);
        }
        if !born {
            own.held.push_back(object);
        }
        let too_many = own.order.len() > MAX_OWN || own.held.len() > MAX_HELD;
        if let Some(oldest) = too_many.then(|| own.order.pop_front()).flatten() {
            own.known.remove(&oldest);
            if own.held.len() > MAX_HELD {
                own.held.pop_front();
            }
        }
        Ok(())
    }

    fn has(&self, object: BorrowedFd<'_>) -> bool {
        identity(object).is_ok_and(|(identity, _)| self.0.lock().unwrap_or_else(PoisonError::into_inner).known.contains(&identity))
    }
}

/// Who it is, and whether its time of birth says so.
fn identity(object: BorrowedFd<'_>) -> Result<(Identity, bool), Errno> {
    let stat = rustix::fs::statx(object, c"", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::BTIME)?;
    let born = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
    Ok(((stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino, stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec), born))
}

/// May this object be given a name? Not where sockets of that name may be reached, unless it is none or the sandbox's own: a socket of the host would be reached by a name
/// that it never had.
pub(super) fn may_move(work: &Work<'_>, object: BorrowedFd<'_>, to: &AbsPath) -> Result<(), Stop> {
    let spec = &work.broker.spec;
    if spec.all_unix_sockets || !spec.unix_sockets.iter().any(|listed| touches(listed, to)) {
        return Ok(());
    }
    let harmless = match FileType::from_raw_mode(rustix::fs::fstat(object)?.st_mode) {
        FileType::Socket => work.broker.peers.has(object),
        FileType::Directory => false,
        _ => true,
    };
    if harmless { Ok(()) } else { Err(Denial::builtin(Errno::PERM, to.clone(), "unix.listed-name").into()) }
}

/// Is the path listed, or something at or below it?
fn touches(listed: &Matcher, path: &AbsPath) -> bool {
    listed.covers(path)
        || match listed {
            Matcher::Path(listed) => listed.is_within(path),
            Matcher::Glob(glob) => glob.could_match_below(path),
            Matcher::Protected(_) => false,
        }
}

/// The socket that a path leads to, held open so that no other can take its place.
///
/// # Errors
/// The denial; `ECONNREFUSED` for what is no socket, as from the kernel.
pub(super) fn socket_at(work: &Work<'_>, path: &[u8]) -> Result<OwnedFd, Stop> {
    let object = object_at(work, path)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&object)?.st_mode) != FileType::Socket {
        return Err(Errno::CONNREFUSED.into());
    }
    let real = real_path(object.as_fd())?;
    if is_listed(work, &real) || work.broker.peers.has(object.as_fd()) {
        return Ok(object);
    }
    // What plain permissions refuse anyway is no violation.
    if rustix::fs::accessat(&object, c"", rustix::fs::Access::WRITE_OK, AtFlags::EMPTY_PATH) == Err(Errno::ACCESS) {
        return Err(Errno::ACCESS.into());
    }
    Err(Denial { errno: Errno::PERM, target: Target::Socket(real.as_bytes().to_vec()), rule: "unix.default".to_owned() }.into())
}

fn is_listed(work: &Work<'_>, real: &AbsPath) -> bool {
    let spec = &work.broker.spec;
    spec.all_unix_sockets || spec.unix_sockets.iter().any(|allowed| allowed.covers(real))
}

fn object_at(work: &Work<'_>, path: &[u8]) -> Result<OwnedFd, Stop> {
    let mut resolver = work.resolver();
    let base = if path.first() == Some(&b'/') { Base::Held(work.broker.root()) } else { Base::Own(resolver.start(libc::AT_FDCWD)?) };
    let mut place = resolver.place_below(base, path)?;
    loop {
        match resolver.follow(&place)? {
            Some(Followed::Place(next)) => place = next,
            Some(Followed::Object(object)) => return Ok(object),
            None => return Ok(place.object()?),
        }
    }
}

/// The address of a socket that is held open.
pub(super) fn address_of(object: impl AsFd) -> Vec<u8> {
    super::address::unix_address(super::resolve::own_link(object.as_fd()).as_bytes())
}

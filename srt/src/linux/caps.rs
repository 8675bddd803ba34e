//! Capabilities: none are left, and that is checked.
//!
//! See capabilities(7).

use caps::CapSet;
use rustix::io::Errno;

use super::failure::{Failure, Step as _};
use super::sys::prctl;

/// `SECBIT_NOROOT`, `NO_SETUID_FIXUP`, `KEEP_CAPS` off, `NO_CAP_AMBIENT_RAISE`, each locked: user id 0 means nothing at execve(2).
const LOCKED: libc::c_ulong = 0b1110_1111;

/// Empties every set of the calling thread, the bounding set first: that needs `CAP_SETPCAP`, which the others take away.
pub(super) fn drop_all() -> Result<(), Failure> {
    prctl(libc::PR_SET_SECUREBITS, LOCKED).step("lock the secure bits")?;
    each_known(|capability| prctl(libc::PR_CAPBSET_DROP, capability)).step("empty the bounding set")?;
    for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set).map_err(|_| Failure::new(format!("clear the {set:?} capabilities"), Errno::PERM))?;
    }
    verify()
}

/// A set that is not empty after it was emptied means that something here is wrong: nothing may run then. An ambient capability would be a permitted one.
fn verify() -> Result<(), Failure> {
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        let left = caps::read(None, set).map_err(|_| Failure::new(format!("read the {set:?} capabilities"), Errno::PERM))?;
        if !left.is_empty() {
            return Err(Failure::new(format!("drop the {set:?} capabilities"), Errno::PERM));
        }
    }
    each_known(|capability| match prctl(libc::PR_CAPBSET_READ, capability)? {
        0 => Ok(0),
        _ => Err(Errno::PERM),
    })
    .step("check that the bounding set is empty")
}

/// Every capability that the running kernel knows, also those that are newer than this program: numbers are given out without gaps.
fn each_known(mut action: impl FnMut(libc::c_ulong) -> Result<libc::c_int, Errno>) -> Result<(), Errno> {
    const MOST: libc::c_ulong = 64;
    for capability in 0..MOST {
        match action(capability) {
            Ok(_) => {}
            Err(Errno::INVAL) if capability > 0 => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

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
    for set in [CapSet::Bounding, CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set).map_err(|_| Failure::new(format!("clear the {set:?} capabilities"), Errno::PERM))?;
    }
    verify()
}

/// A set that is not empty after it was emptied means that something here is wrong: nothing may run then.
fn verify() -> Result<(), Failure> {
    for set in [CapSet::Bounding, CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        let left = caps::read(None, set).map_err(|_| Failure::new(format!("read the {set:?} capabilities"), Errno::PERM))?;
        if !left.is_empty() {
            return Err(Failure::new(format!("drop the {set:?} capabilities"), Errno::PERM));
        }
    }
    Ok(())
}

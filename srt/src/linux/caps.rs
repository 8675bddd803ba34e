//! Capabilities: none are left to the command, and that is checked; `init` may keep the one that the broker needs.
//!
//! See capabilities(7).

use caps::CapSet;
use rustix::io::Errno;

use super::broker;
use super::failure::{Failure, Step as _};
use super::sys::prctl;

/// `SECBIT_NOROOT`, `NO_SETUID_FIXUP`, `KEEP_CAPS` off, `NO_CAP_AMBIENT_RAISE`, each locked: user id 0 means nothing at execve(2).
const LOCKED: libc::c_ulong = 0b1110_1111;

/// Empties every set of the calling thread, the bounding set first: that needs `CAP_SETPCAP`, which the others take away.
///
/// With `broker`, the permitted set keeps what the broker takes for single calls.
pub(super) fn drop_all(broker: bool) -> Result<(), Failure> {
    prctl(libc::PR_SET_SECUREBITS, LOCKED).step("lock the secure bits")?;
    each_known(|capability| prctl(libc::PR_CAPBSET_DROP, capability)).step("empty the bounding set")?;
    caps::clear(None, CapSet::Ambient).map_err(|_| Failure::new("clear the ambient capabilities", Errno::PERM))?;
    if broker { broker::keep_permitted() } else { broker::give_up() }.step("drop capabilities")?;
    verify(broker)
}

/// Drops every capability where no user namespace was made: `init` is an ordinary process of the caller, and the broker does without.
///
/// An ordinary user may not empty the bounding set, which gives nothing to who has `no_new_privs` (capabilities(7)).
pub(super) fn drop_on_host() -> Result<(), Failure> {
    let refused_is_fine = |result: Result<(), Errno>| if result == Err(Errno::PERM) { Ok(()) } else { result };
    refused_is_fine(prctl(libc::PR_SET_SECUREBITS, LOCKED).map(drop)).step("lock the secure bits")?;
    refused_is_fine(each_known(|capability| prctl(libc::PR_CAPBSET_DROP, capability))).step("empty the bounding set")?;
    caps::clear(None, CapSet::Ambient).map_err(|_| Failure::new("clear the ambient capabilities", Errno::PERM))?;
    broker::give_up().step("drop capabilities")?;
    verify_sets(false)
}

/// A set that is not empty after it was emptied means that something here is wrong: nothing may run then. An ambient capability would be a permitted one.
fn verify(broker: bool) -> Result<(), Failure> {
    verify_sets(broker)?;
    each_known(|capability| match prctl(libc::PR_CAPBSET_READ, capability)? {
        0 => Ok(0),
        _ => Err(Errno::PERM),
    })
    .step("check that the bounding set is empty")
}

fn verify_sets(broker: bool) -> Result<(), Failure> {
    let kept = |set: CapSet| broker && matches!(set, CapSet::Permitted);
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        let left = caps::read(None, set).map_err(|_| Failure::new(format!("read the {set:?} capabilities"), Errno::PERM))?;
        let expected = if kept(set) { vec![caps::Capability::CAP_SYS_PTRACE] } else { Vec::new() };
        if left.into_iter().collect::<Vec<_>>() != expected {
            return Err(Failure::new(format!("drop the {set:?} capabilities"), Errno::PERM));
        }
    }
    Ok(())
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

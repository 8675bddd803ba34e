//! The one capability of `init`, and when it is in force.
//!
//! `CAP_SYS_PTRACE` in the sandbox's own user namespace reads memory and copies descriptors of callers that are not dumpable. It stays permitted and becomes
//! effective only around those calls: access checks look at the effective set alone, so work on paths is done with the rights of the command, which has none.
//!
//! See capabilities(7), ptrace(2) "Ptrace access mode checking".

use rustix::io::Errno;

use super::super::sys::set_capabilities;

const SYS_PTRACE: u64 = 1 << 19;

/// Gives up everything but the permission to take `CAP_SYS_PTRACE` later.
pub(in crate::linux) fn keep_permitted() -> Result<(), Errno> {
    set_capabilities(0, SYS_PTRACE)
}

/// Gives up that too: for the command.
pub(in crate::linux) fn give_up() -> Result<(), Errno> {
    set_capabilities(0, 0)
}

/// Tries without the capability, and with it where the kernel says that more is needed: nearly every caller is dumpable.
pub(super) fn where_needed<T>(mut work: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    match work() {
        Err(Errno::PERM | Errno::ACCESS) => with(work),
        result => result,
    }
}

fn with<T>(mut work: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    set_capabilities(SYS_PTRACE, SYS_PTRACE)?;
    let result = work();
    // A thread that could not lower it must not go on to paths.
    if set_capabilities(0, SYS_PTRACE).is_err() {
        super::super::sys::exit_now(1);
    }
    result
}

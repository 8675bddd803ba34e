//! Starting the command.
//!
//! See vfork(2), execve(2).

use rustix::io::Errno;

use super::sys::exit_now;
use crate::unix::Program;

/// Starts a program in a new process that borrows this one's memory until it has executed (vfork(2)): nothing is copied, however large this process is.
///
/// `prepare` and the attempts to execute run in the new process, which shares this one's *descriptors* too, until it takes a table of its own. Returns its id and what
/// execve(2) said where no candidate could be executed.
///
/// # Errors
/// As clone(2).
pub(super) fn vfork_exec(
    program: &Program<'_>,
    mut prepare: impl FnMut() -> Result<(), Errno>,
) -> Result<(libc::pid_t, Option<Errno>), Errno> {
    /// Enough for a few system calls, and one page of guard is not needed: nothing here recurses.
    const STACK: usize = 64 * 1024;
    let mut stack = vec![0u8; STACK];
    let mut outcome = None;
    let outcome_pointer = std::ptr::from_mut(&mut outcome);
    let child = Box::new(move || {
        let error = prepare().map_or_else(|error| error, |()| program.execute());
        // SAFETY: the parent waits (CLONE_VFORK) until this process ends or executes, and its variable lives that long; memory is shared (CLONE_VM).
        unsafe { *outcome_pointer = Some(error) };
        exit_now(127)
    });
    let flags = nix::sched::CloneFlags::CLONE_VM | nix::sched::CloneFlags::CLONE_VFORK | nix::sched::CloneFlags::CLONE_FILES;
    // SAFETY: the child runs on its own stack, which outlives it because of CLONE_VFORK; it makes system calls only, and leaves by execve or _exit.
    let pid = unsafe { nix::sched::clone(child, &mut stack, flags, Some(libc::SIGCHLD)) }
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
    Ok((pid.as_raw(), outcome))
}

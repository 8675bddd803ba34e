//! Starting the command.
//!
//! See vfork(2), execve(2), and execvp(3) for the search and its errors.

use std::cell::RefCell;
use std::ffi::{CStr, CString};

use rustix::io::Errno;

use super::sys::{exit_now, last_error};

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

/// What is executed, as null-terminated arrays.
pub(super) struct Program<'a> {
    candidates: &'a [CString],
    arguments: Vec<*const libc::c_char>,
    /// `sh`, the candidate, and the arguments: for a text without `#!`, as execvp(3) does. The second is put in when it is needed.
    script_arguments: RefCell<Vec<*const libc::c_char>>,
    environment: Vec<*const libc::c_char>,
}

impl<'a> Program<'a> {
    pub(super) fn new(candidates: &'a [CString], arguments: &'a [CString], environment: &'a [CString]) -> Self {
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
        let arguments = pointers(arguments);
        let mut script_arguments = vec![c"/bin/sh".as_ptr(), std::ptr::null()];
        script_arguments.extend(&arguments[1..]);
        Program { candidates, arguments, script_arguments: script_arguments.into(), environment: pointers(environment) }
    }

    /// Tries each candidate; returns only where none could be executed, with the error that execvp(3) would give.
    fn execute(&self) -> Errno {
        let mut result = Errno::NOENT;
        for candidate in self.candidates {
            // SAFETY: all pointers are to terminated strings, and the arrays end with null.
            unsafe { libc::execve(candidate.as_ptr(), self.arguments.as_ptr(), self.environment.as_ptr()) };
            match last_error() {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::NOEXEC => return self.execute_script(candidate),
                // A directory on the way may be hidden: that says nothing about the program.
                // SAFETY: the candidate is a terminated string.
                Errno::ACCESS if unsafe { libc::access(candidate.as_ptr(), libc::F_OK) } == 0 => result = Errno::ACCESS,
                Errno::ACCESS => {}
                error => return error,
            }
        }
        result
    }

    fn execute_script(&self, candidate: &CStr) -> Errno {
        self.script_arguments.borrow_mut()[1] = candidate.as_ptr();
        // SAFETY: as above.
        unsafe { libc::execve(c"/bin/sh".as_ptr(), self.script_arguments.borrow().as_ptr(), self.environment.as_ptr()) };
        last_error()
    }
}

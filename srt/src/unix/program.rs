//! The search for a program, and its execution, by system calls alone: for use in a process that shares memory with its parent, or is a copy of it.
//!
//! See execve(2), and execvp(3) for the search and its errors.

use std::cell::RefCell;
use std::ffi::{CStr, CString};

use rustix::io::Errno;

/// What is executed, as null-terminated arrays.
pub(crate) struct Program<'a> {
    candidates: &'a [CString],
    arguments: Vec<*const libc::c_char>,
    /// `sh`, the candidate, and the arguments: for a text without `#!`, as execvp(3) does. The second is put in when it is needed.
    script_arguments: RefCell<Vec<*const libc::c_char>>,
    environment: Vec<*const libc::c_char>,
}

impl<'a> Program<'a> {
    pub(crate) fn new(candidates: &'a [CString], arguments: &'a [CString], environment: &'a [CString]) -> Self {
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
        let arguments = pointers(arguments);
        let mut script_arguments = vec![c"/bin/sh".as_ptr(), std::ptr::null()];
        script_arguments.extend(&arguments[1..]);
        Program { candidates, arguments, script_arguments: script_arguments.into(), environment: pointers(environment) }
    }

    /// Tries each candidate; returns only where none could be executed, with the error that execvp(3) would give.
    pub(crate) fn execute(&self) -> Errno {
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

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

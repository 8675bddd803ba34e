//! The new process, from fork(2) to execve(2), and its end.
//!
//! What goes wrong there is told through a pipe that closes when the command runs.

use std::ffi::{CStr, CString};
use std::io::{Read, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{Way, descriptors, signals};
use crate::unix::{Exec, Program};

/// Why the command does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// A step of srt's own failed.
    Failed { action: String, errno: i32 },
    /// The kernel, or the library before it, did not take the profile.
    Refused(String),
    /// execve(2) of the command.
    NotExecuted(i32),
    /// The process ended without a word, before it had executed anything.
    Vanished,
}

impl Stopped {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Stopped::Failed { action, errno } => [b"f", &errno.to_ne_bytes()[..], action.as_bytes()].concat(),
            Stopped::Refused(why) => [b"r", &[0; 4][..], why.as_bytes()].concat(),
            Stopped::NotExecuted(errno) => [b"x", &errno.to_ne_bytes()[..]].concat(),
            Stopped::Vanished => Vec::new(),
        }
    }

    fn of_bytes(bytes: &[u8]) -> Option<Stopped> {
        let (letter, rest) = bytes.split_first()?;
        let (number, text) = rest.split_first_chunk()?;
        let (errno, text) = (i32::from_ne_bytes(*number), String::from_utf8_lossy(text).into_owned());
        match letter {
            b'f' => Some(Stopped::Failed { action: text, errno }),
            b'r' => Some(Stopped::Refused(text)),
            b'x' => Some(Stopped::NotExecuted(errno)),
            _ => None,
        }
    }
}

/// What the new process has.
pub(super) struct Start<'a> {
    pub(super) exec: &'a Exec,
    pub(super) profile: &'a CStr,
    pub(super) way: &'a Way,
    pub(super) mask: &'a SigSet,
}

/// What the parent says when the command may go on: the watcher knows of it.
const GO: u8 = b'g';

impl Start<'_> {
    /// In the new process: never comes back.
    pub(super) fn run(&self, socket: UnixStream) -> ! {
        let mut go = [0];
        // Without a word the parent is gone.
        if (&socket).read_exact(&mut go).is_err() || go != [GO] {
            exit_now(1);
        }
        let stopped = self.go(&socket);
        let _ = (&socket).write_all(&stopped.to_bytes());
        exit_now(1)
    }

    /// In order: what needs rights of the caller's, the confinement, and the program.
    fn go(&self, socket: &UnixStream) -> Stopped {
        let failed = |action: &str, error: std::io::Error| Stopped::Failed {
            action: action.to_owned(),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        };
        let cwd = CString::new(self.exec.cwd.as_bytes()).unwrap_or_default();
        if let Err(errno) = nix::unistd::chdir(cwd.as_c_str()) {
            return failed("enter the working directory", errno.into());
        }
        let keep: Vec<_> = self.exec.pass_fds.iter().copied().chain([socket.as_raw_fd()]).collect();
        if let Err(error) = descriptors::close_all_but(&keep) {
            return failed("close descriptors", error);
        }
        for descriptor in &self.exec.pass_fds {
            // SAFETY: it was open when it was checked, and nothing has closed it since.
            let kept = rustix::io::fcntl_setfd(unsafe { BorrowedFd::borrow_raw(*descriptor) }, rustix::io::FdFlags::empty());
            if let Err(errno) = kept {
                return failed("pass a descriptor", errno.into());
            }
        }
        if let Err(errno) = self.signals() {
            return failed("set signals", errno.into());
        }
        match self.way {
            Way::Call(confine) => match confine(self.profile) {
                Ok(()) => self.execute(&self.exec.candidates, &self.exec.arguments),
                Err(why) => Stopped::Refused(why),
            },
            Way::Program(program) => match found(&self.exec.candidates) {
                Ok(command) => {
                    let (program, arguments) = through(program.as_os_str().as_bytes(), self.profile, command, &self.exec.arguments);
                    self.execute(&[program], &arguments)
                }
                Err(errno) => Stopped::NotExecuted(errno),
            },
        }
    }

    fn signals(&self) -> nix::Result<()> {
        if !self.exec.ignore_sigpipe {
            // SAFETY: the default action is no handler.
            unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
        }
        signals::release(self.mask)
    }

    fn execute(&self, candidates: &[CString], arguments: &[CString]) -> Stopped {
        Stopped::NotExecuted(Program::new(candidates, arguments, &self.exec.environment).execute().raw_os_error())
    }
}

/// The first candidate that can be executed, or why there is none: the program that confines would not say it in our words.
fn found(candidates: &[CString]) -> Result<&CStr, i32> {
    let mut why = libc::ENOENT;
    for candidate in candidates {
        // SAFETY: the candidate is a terminated string.
        if unsafe { libc::access(candidate.as_ptr(), libc::X_OK) } == 0 {
            return Ok(candidate);
        }
        // SAFETY: as above.
        if unsafe { libc::access(candidate.as_ptr(), libc::F_OK) } == 0 {
            why = libc::EACCES;
        }
    }
    Err(why)
}

/// The program that confines, and its arguments.
fn through(program: &[u8], profile: &CStr, command: &CStr, arguments: &[CString]) -> (CString, Vec<CString>) {
    let program = CString::new(program).unwrap_or_default();
    let own = [program.clone(), c"-p".to_owned(), profile.to_owned(), command.to_owned()];
    (program, own.into_iter().chain(arguments.iter().skip(1).cloned()).collect())
}

/// In the parent: lets the new process go on, and hears how far it got. `None`: the command runs.
pub(super) fn let_go(mut socket: UnixStream) -> Option<Stopped> {
    let mut said = Vec::new();
    let heard = socket.write_all(&[GO]).and_then(|()| socket.read_to_end(&mut said));
    if heard.is_err() {
        return Some(Stopped::Vanished);
    }
    if said.is_empty() { None } else { Some(Stopped::of_bytes(&said).unwrap_or(Stopped::Vanished)) }
}

/// _exit(2): no destructor of the parent's runs in its copy.
pub(super) fn exit_now(status: i32) -> ! {
    // SAFETY: it takes a number and does not come back.
    unsafe { libc::_exit(status) }
}

/// Reaps a child, but does not wait for ever: a process that the kernel holds is left to whoever comes next.
pub(super) fn wait_for(child: Pid, until: Instant) {
    while matches!(waitpid(child, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR))
        && Instant::now() < until
    {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stopped_the_command_is_read_back() {
        for stopped in [
            Stopped::Failed { action: "enter the working directory".to_owned(), errno: libc::ENOENT },
            Stopped::Refused("line 3: unbound variable: allwo".to_owned()),
            Stopped::NotExecuted(libc::EACCES),
        ] {
            assert_eq!(Stopped::of_bytes(&stopped.to_bytes()), Some(stopped));
        }
        assert_eq!(Stopped::of_bytes(b"x"), None, "half an answer is none");
    }

    #[test]
    fn the_program_that_confines_gets_the_profile_and_the_command_as_it_was_found() {
        let text = |text: &str| CString::new(text).unwrap();
        let (program, arguments) = through(b"/usr/bin/sandbox-exec", c"(version 1)", c"/bin/ls", &[text("ls"), text("-l"), text("a b")]);
        assert_eq!(program, text("/usr/bin/sandbox-exec"));
        assert_eq!(arguments, ["/usr/bin/sandbox-exec", "-p", "(version 1)", "/bin/ls", "-l", "a b"].map(text));
    }

    #[test]
    fn a_program_is_found_where_the_system_would_and_its_absence_is_told_from_a_missing_right() {
        let text = |text: &str| CString::new(text).unwrap();
        assert_eq!(found(&[text("/nowhere/sh"), text("/bin/sh")]), Ok(c"/bin/sh"));
        assert_eq!(found(&[text("/nowhere/sh")]), Err(libc::ENOENT));
        assert_eq!(found(&[text("/etc/passwd"), text("/nowhere/x")]), Err(libc::EACCES));
    }
}

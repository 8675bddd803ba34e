//! The forks: the watcher, and the command.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use nix::unistd::{ForkResult, Pid};

use super::child::{self, Start, Stopped};
use super::log::LogStream;
use super::watcher::{Order, Watcher};
use super::{Armed, signals};
use crate::Fault;
use crate::proxy::Token;
use crate::unix::{MadeDirectories, Scratch};

/// A sandbox at work. Fields are dropped in this order: first every process of it ends, and the directories go last.
#[derive(Debug)]
pub struct Running {
    /// How far the command got.
    pub begun: Begun,
    /// Tells of denials; or why there is none to tell.
    pub(crate) log: Result<LogStream, Fault>,
    /// Ends what is left of the command.
    pub(crate) watcher: Watcher,
    pub(crate) command: Pid,
    pub(crate) listener: TcpListener,
    pub(crate) token: Token,
    /// The program as typed, for messages.
    pub program: OsString,
    /// Removed where they are still empty, when dropped.
    pub(crate) made: MadeDirectories,
    /// Removed when dropped.
    pub(crate) scratch: Scratch,
}

/// How far the command got.
#[derive(Debug)]
pub enum Begun {
    /// It runs.
    Started,
    /// The program could not be executed, with this errno.
    NotExecuted(i32),
    /// srt could not set it up.
    Failed(Fault),
}

/// Forks the watcher and the command, with the calls that the script was armed with.
///
/// # Errors
/// More than one thread; no process can be made.
pub fn spawn_with(armed: Armed) -> Result<Running, Fault> {
    let Armed { os, run, rendered, listener, token, scratch, made } = armed;
    let threads = (os.threads)().map_err(|error| Fault::os("count threads", error))?;
    if threads != 1 {
        return Err(Fault::new("start the sandbox", format_args!("the process has {threads} threads and must have one")));
    }
    // Held back before the forks, so that none is lost and none ends one of the processes alone.
    let mask = signals::hold().map_err(|errno| Fault::os("block signals", errno))?;
    // SAFETY: there is one thread, as was just seen.
    let watcher = unsafe { Watcher::fork(&os, run) }?;
    let told = |error| Fault::os("tell the watcher", error);
    // Before the command: it takes a moment to listen.
    let log = LogStream::start(&os.log, run, &mask);
    if let Ok(log) = &log {
        watcher.tell(Order::Reporter(log.id())).map_err(told)?;
    }
    let (ours, theirs) = UnixStream::pair().map_err(|error| Fault::os("make a socket for the command", error))?;
    let start = Start { exec: &rendered.exec, profile: &rendered.profile, way: &os.way, mask: &mask };
    // SAFETY: there is still one thread: nothing since has made any.
    let command = match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Child) => {
            drop(ours);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| start.run(theirs)));
            child::exit_now(1)
        }
        Ok(ForkResult::Parent { child }) => child,
        Err(errno) => return Err(Fault::os("start the command", errno)),
    };
    drop(theirs);
    watcher.tell(Order::Command(command.as_raw())).map_err(told)?;
    let begun = begun(child::let_go(ours));
    let program = rendered.exec.program;
    Ok(Running { begun, log, watcher, command, listener, token, program, made, scratch })
}

fn begun(stopped: Option<Stopped>) -> Begun {
    match stopped {
        None => Begun::Started,
        Some(Stopped::NotExecuted(errno)) => Begun::NotExecuted(errno),
        Some(Stopped::Failed { action, errno }) => Begun::Failed(Fault::os(action, std::io::Error::from_raw_os_error(errno))),
        Some(Stopped::Refused(why)) => {
            let fault = Fault::new("put the command under its profile", crate::violation::sanitise(&why));
            Begun::Failed(
                fault.hint("`srt explain` prints the profile; a process that is in a Seatbelt sandbox already cannot enter another"),
            )
        }
        Some(Stopped::Vanished) => Begun::Failed(Fault::new("start the command", "its process ended before it had begun")),
    }
}

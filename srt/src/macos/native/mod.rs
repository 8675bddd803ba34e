//! The calls that only macOS has.
//!
//! None of this was ever run: there was no Mac. It is type-checked for both architectures, and kept small for that reason.

mod confine;
mod objects;
mod processes;

use std::path::Path;
use std::time::{Duration, Instant};

pub use objects::{NO_SIGNAL, ON_THE_WAY, is_path_only, open_to_owner};

use super::{Armed, Os, Release, RunTag, Running, Script, Tree, Way, log::LogStream, release, signals};
use crate::plan::{Answer, Refusal, Support};
use crate::{Fault, Faults};

/// Confines a program, where the library's call is missing. Apple calls it deprecated, and ships it.
const SANDBOX_EXEC: &str = "/usr/bin/sandbox-exec";
const LOG: &str = "/usr/bin/log";
/// How long the log may take to refuse.
const LOG_WAIT: Duration = Duration::from_secs(1);

/// Arms a script for this system.
///
/// # Errors
/// Nothing that confines; else as [`arm_for`](super::arm_for).
pub fn arm(script: Script) -> Result<Armed, Faults> {
    let way = match confine::Library::open() {
        Some(library) => Way::Call(Box::new(move |profile| library.confine(profile))),
        None if Path::new(SANDBOX_EXEC).exists() => Way::Program(SANDBOX_EXEC.into()),
        None => return Err(Fault::new("confine the command", no_seatbelt().cause).into()),
    };
    super::arm_for(Os { way, members: Box::new(members), log: LOG.into(), threads: processes::threads }, script)
}

/// Starts the run.
///
/// # Errors
/// As [`spawn_with`](super::spawn_with).
pub fn spawn(armed: Armed) -> Result<Running, Fault> {
    super::spawn_with(armed)
}

/// Marked processes, the command and what it has below it; no zombies, which nobody can end.
fn members(tree: &Tree) -> Vec<i32> {
    let all = processes::all();
    let own = std::process::id() as i32;
    let mut found: Vec<i32> = tree.command.into_iter().collect();
    if let Some(command) = tree.command {
        let parents: Vec<(i32, i32)> = all.iter().filter_map(|id| Some((*id, processes::parent(*id)?))).collect();
        found.extend(super::descendants(&parents, command));
    }
    found.extend(all.into_iter().filter(|id| confine::is_marked(*id, tree.run)));
    found.sort_unstable();
    found.dedup();
    found.retain(|id| *id != own && processes::parent(*id).is_some());
    found
}

/// What this system can do.
pub fn probe() -> Support {
    let there = confine::Library::open().is_some() || Path::new(SANDBOX_EXEC).exists();
    Support { seatbelt: Some(if there { Answer::Yes } else { Answer::No(no_seatbelt()) }), ..Support::elsewhere() }
}

fn no_seatbelt() -> Refusal {
    Refusal {
        cause: format!("neither sandbox_init_with_parameters nor {SANDBOX_EXEC} is there"),
        remedy: "a macOS that has one of them".to_owned(),
    }
}

/// There is no such program on macOS.
pub fn probe_ebpf() -> Answer {
    Support::elsewhere().ebpf
}

/// There are none to try.
pub fn try_namespaces(_: &mut Support) {}

/// May a person at the terminal be asked? The sandbox shares the terminal and cannot be stopped for the question: only programs are asked.
pub fn can_ask() -> bool {
    false
}

/// What `srt doctor` tells of this system.
#[derive(Debug, serde::Serialize)]
pub struct System {
    /// The release, where it can be read.
    pub release: Option<Release>,
    /// Is the library's call there?
    pub sandbox_init: bool,
    /// Is the program there that does the same?
    pub sandbox_exec: bool,
    /// Are processes of a run told from others by their sandbox, also when they are orphans?
    pub sandbox_check: bool,
    /// Does the system log let this user look on?
    pub log_stream: Answer,
}

/// Looks, and tries the log.
pub fn examine() -> System {
    System {
        release: std::fs::read_to_string(release::FILE).ok().and_then(|text| Release::parse(&text)),
        sandbox_init: confine::Library::open().is_some(),
        sandbox_exec: Path::new(SANDBOX_EXEC).exists(),
        sandbox_check: confine::can_check(),
        log_stream: try_log(),
    }
}

fn try_log() -> Answer {
    let no = |cause: String| {
        let remedy = "an account that is an administrator's; without it, what Seatbelt denies is not told".to_owned();
        Answer::No(Refusal { cause, remedy })
    };
    let started = RunTag::random()
        .map_err(|error| Fault::os("name the run", error))
        .and_then(|run| LogStream::start(Path::new(LOG), run, &signals::current()));
    let mut stream = match started {
        Ok(stream) => stream,
        Err(fault) => return no(fault.cause),
    };
    let until = Instant::now() + LOG_WAIT;
    while Instant::now() < until {
        stream.skip();
        if stream.over {
            return no(format!("{LOG} stream ends at once"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Answer::Yes
}

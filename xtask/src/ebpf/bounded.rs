//! Commands with a limit of time: a registry or a mirror that does not answer must not hold up a check.
//!
//! Through timeout(1), which ends children of the command too. macOS has none: there somebody sits before it.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// What timeout(1) exits with when the time is over.
const OVER: i32 = 124;

/// `program`, ended after so many seconds.
pub(crate) fn command(seconds: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new("timeout");
        command.arg("--kill-after=5").arg(seconds.to_string()).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.stdin(Stdio::null());
    command
}

/// Runs it; what it prints is seen. `what` says what for.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<(), String> {
    // Our standard output is for results.
    command.stdout(std::io::stderr());
    let status = command.status().map_err(|error| format!("cannot {what}: {error}"))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(OVER) => Err(format!("cannot {what}: it took too long")),
        _ => Err(format!("cannot {what}: {status}")),
    }
}

/// Runs it; what it prints to standard output is the answer.
pub(crate) fn answer(command: &mut Command, what: &str) -> Result<String, String> {
    let output = command.stderr(Stdio::null()).output().map_err(|error| format!("cannot {what}: {error}"))?;
    match output.status.code() {
        Some(0) => String::from_utf8(output.stdout).map_err(|_| format!("cannot {what}: the answer is not UTF-8")),
        Some(OVER) => Err(format!("cannot {what}: it took too long")),
        _ => Err(format!("cannot {what}: {}", output.status)),
    }
}

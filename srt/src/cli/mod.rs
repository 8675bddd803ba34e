//! The command line: the only part that prints, exits, and reads home and environment.
//!
//! Options are typed values first (`args`), and acted on afterwards: one module per subcommand.

mod args;
mod check;
mod completions;
mod explain;
mod explain_macos;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
mod message;
mod prepare;
mod profiles;
mod run;
mod stderr;
mod violations;
mod ways;

use std::ffi::OsString;
use std::io::Write as _;

use crate::backend;

#[cfg(target_os = "linux")]
use linux as native;
#[cfg(target_os = "macos")]
use macos as native;

pub use args::{Action, Options, parse};

/// What srt itself answers with when it failed and nothing was run.
const FAILED: u8 = 125;

/// Runs srt; returns its exit status.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    if let Err(fault) = backend::open_standard_streams() {
        message::print_fault(&fault);
        return FAILED;
    }
    let status = act(arguments);
    // Nothing else does it: see main.rs.
    let _ = std::io::stdout().flush();
    status
}

/// `--debug`: every stage says what it found or did. Text that comes from inside the sandbox is sanitised where it is logged.
fn log_to_stderr() {
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::DEBUG);
    log.without_time().with_ansi(false).with_target(false).init();
}

fn act(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let (options, action) = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(stop) => return message::print_stop(&stop),
    };
    if options.debug {
        log_to_stderr();
    }
    let result = match action {
        Action::Run(command) => run::run(&options, command),
        Action::Explain { json, platform } => explain::explain(&options, json, platform),
        Action::Check { access, target } => check::check(&options, &access, &target),
        Action::Doctor { json } => native::doctor(&options, json),
        Action::Profiles { name } => profiles::profiles(name.as_deref()),
        Action::Completions { shell } => completions::print(shell),
        Action::Violations(listing) => violations::violations(&listing),
        Action::Top { once } => native::top(once),
        Action::Monitor(asked) => native::monitor(asked),
    };
    result.unwrap_or_else(|error| {
        message::print_error(&error);
        FAILED
    })
}

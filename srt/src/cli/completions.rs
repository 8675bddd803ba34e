//! `srt completions`: a script for a shell.

use clap_complete::Shell;

use super::args;
use super::message::Error;

/// Prints the script.
pub(super) fn print(shell: Shell) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "srt", &mut script);
    let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), &script);
    Ok(0)
}

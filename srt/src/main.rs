//! The `srt` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(srt::cli::main(std::env::args_os()))
}

//! `srt-probe OPERATION [ARGUMENTS…]`: does one operation and says how the kernel answered.
//!
//! Prints `ok` (or the answer that was asked for) and exits 0, or prints the name of the errno (`EROFS`) and exits 1. A wrong
//! command line exits 2. It is the oracle of the end-to-end suites: it knows nothing of srt and never guesses.

#[cfg(target_os = "linux")]
#[path = "operations.rs"]
mod operations;

// Operations name each other from here.
#[cfg(target_os = "linux")]
use operations::*;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return operations::main().into();
    #[cfg(not(target_os = "linux"))]
    {
        eprintln!("srt-probe: its operations are calls of Linux");
        2.into()
    }
}

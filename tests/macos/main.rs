//! Runs of the macOS backend: how a command is started, served, signalled and ended.
//!
//! On a Mac through `srt` itself. Elsewhere through `srt-as-macos`, which has everything but the confinement; what is enforced is then shown by the suite `seatbelt` alone.
//!
//! Table of contents:

/// What only a Mac can show: the kernel's refusals, and who tells of them.
#[cfg(target_os = "macos")]
mod confined;
/// Everything a run leaves behind: nothing.
mod end;
/// The log of the system.
#[cfg(target_os = "linux")]
mod log;
/// The program under test.
mod program;
/// The proxy and its token.
mod proxy;
/// Signals, stops, and who gets them.
mod signals;
/// Exit status, environment, descriptors.
mod start;

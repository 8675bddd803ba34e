//! `srt-as-macos COMMAND [ARGUMENT…]`: a run of the macOS backend on another system, with everything but the confinement.
//!
//! What the backend asks of macOS is done by other means: in place of a sandbox the command gets a mark that its children inherit and nobody sheds (a limit on POSIX
//! message queues, whose value is made of the run's own mark in the profile), and processes are found by that. So this shows how commands are started, served,
//! signalled and ended, and nothing of what is enforced.
//!
//! `AS_MACOS_SETTINGS`: settings, as text. `AS_MACOS_LOG`: in place of /usr/bin/log. `AS_MACOS_CONFINER`: in place of /usr/bin/sandbox-exec; without it, a call confines.
//! Events go to standard error, a line each; so do remarks and faults.

#[cfg(target_os = "linux")]
#[path = "other_means.rs"]
mod other_means;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return other_means::main();
    #[cfg(not(target_os = "linux"))]
    {
        eprintln!("srt-as-macos: on a Mac it is srt that runs commands");
        125.into()
    }
}

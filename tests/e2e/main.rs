//! End-to-end suites against the real `srt` binary, as root and as an ordinary user.
//!
//! Table of contents:

/// Write roots, holes in them, and everything outside.
mod filesystem;
/// Links: planted by an earlier run, spelled with `..` or through procfs, hard.
mod links;
/// Read denials and what re-opens inside them.
mod masks;
/// Names that are never written: shell start files, hooks, editor settings.
mod protected;
/// The private temporary directory: made, removed, swept.
mod tmpdir;
/// `/dev`, `/proc` and `/sys` inside.
mod devices;
/// The empty network namespace, and what passes the proxies.
mod network;
/// Proxies of the user's own, and requests no client makes.
mod proxies;
/// UNIX sockets.
mod unix_sockets;
/// System calls, socket families and terminal requests that the filter refuses.
mod seccomp;
/// The process tree: its limits and its end.
mod processes;
/// Signals to srt and from the terminal.
mod signals;
/// Job control, window size, full-screen programs.
mod terminal;
/// Inherited descriptors and standard streams.
mod descriptors;
/// Variables and the working directory.
mod environment;
/// Command lines and exit status.
mod cli;
/// Settings files, good and bad.
mod settings;
/// `srt doctor`, `explain`, `check`, `profiles`, `completions`.
mod doctor_explain_check;
/// What identity the command has.
mod root_and_user;
/// git, make, tar, python, node, npm, pip, vim, tmux, shells.
mod real_tools;
/// A crate with a dependency, fetched, built and tested inside.
mod cargo_job;
/// Many sandboxes at once.
mod resources;

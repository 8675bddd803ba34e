//! End-to-end suites against the real `srt` binary, as root and as an ordinary user.
//!
//! Table of contents:

#![cfg(target_os = "linux")]

/// Questions about hosts on the terminal.
mod ask;
/// Ways around the broker that were found once.
mod broker_detours;
/// What opens leave behind: flags, modes, limits, locks, FIFOs, programs.
mod broker_opens;
/// Paths as the caller means them: procfs names of its own, its terminal, wrong ones.
mod broker_paths;
/// What the broker has and lends to nobody.
mod broker_privileges;
/// Races against the broker: paths, links and descriptors that change in mid-call.
mod broker_races;
/// Many callers, callers with a state of their own, callers under fire.
mod broker_threads;
/// A crate with a dependency, fetched, built and tested inside.
mod cargo_job;
/// Command lines and exit status.
mod cli;
/// Inherited descriptors and standard streams.
mod descriptors;
/// `/dev`, `/proc` and `/sys` inside.
mod devices;
/// `srt doctor`, `explain`, `check`, `profiles`, `completions`.
mod doctor_explain_check;
/// Denials that the kernel's own program reports.
mod ebpf;
/// Variables and the working directory.
mod environment;
/// Write roots, holes in them, and everything outside.
mod filesystem;
/// Hosts that lack a layer, or hide a part of `/proc`.
mod layers;
/// Links: planted by an earlier run, spelled with `..` or through procfs, hard.
mod links;
/// Read denials and what re-opens inside them.
mod masks;
/// `srt monitor`: who is told what, and what clients cannot do to it.
mod monitor;
/// Which names a pattern of `denyWrite` or `allowWrite` is about.
mod name_patterns;
/// Denied names that come to be, or are changed, in any way.
mod name_rules;
/// Protected names that come to be during the run, in repositories and elsewhere.
mod name_rules_git;
/// The empty network namespace, and what passes the proxies.
mod network;
/// Hosts that refuse namespaces: Landlock, the filter and the broker alone.
mod on_host;
/// Ports of one loopback that lead to the other.
mod ports;
/// The process tree: its limits and its end.
mod processes;
/// Names that are never written: shell start files, hooks, editor settings.
mod protected;
/// `--status-fd` and `--control-fd`: the protocol for programs.
mod protocol;
/// Proxies of the user's own, and requests no client makes.
mod proxies;
/// git, make, tar, python, node, npm, pip, vim, tmux, shells.
mod real_tools;
/// The same tools and more, compared with a run outside: results, and not one denial.
mod real_tools_broker;
/// Many sandboxes at once.
mod resources;
/// What identity the command has.
mod root_and_user;
/// System calls, socket families and terminal requests that the filter refuses.
mod seccomp;
/// Settings files, good and bad.
mod settings;
/// What the command shares with its caller: files on descriptors, terminal, process group, devices.
mod shared;
/// Signals to srt and from the terminal.
mod signals;
/// Job control, window size, full-screen programs.
mod terminal;
/// The private temporary directory: made, removed, swept.
mod tmpdir;
/// Looking on at runs: their sockets, and `srt top`.
mod top;
/// Programs that know of no proxy: names, and connections to any port.
mod transparent;
/// UNIX sockets by path: every call, spelling and entry.
mod unix_socket_paths;
/// Races on addresses and descriptors of UNIX sockets.
mod unix_socket_races;
/// UNIX sockets.
mod unix_sockets;
/// What is told of denials: live, in the store, as suggestions.
mod violation_sinks;
/// The corpus of denials with their events, and failures that are none.
mod violations;

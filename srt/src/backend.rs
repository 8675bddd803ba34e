//! The platform, chosen once.
//!
//! Everything above this module is the same on every platform; everything it leads to is one platform's own.

#[cfg(target_os = "linux")]
pub use crate::linux::{
    Answer, Armed, Channel, Command, Connect, Denied, DeniedTarget, Frozen, Matter, NulByte, Report, Running, Script, WATCHED, arm, call_name, close_inherited, command_of, compile, filter_refuses, freeze, id_of, ignore_sigpipe, open_standard_streams, probe, probe_ebpf, spawn, try_namespaces, Census, Usage, EbpfTrial, Hooks, Listener, ServiceTrial, try_ebpf, try_service,
};

#[cfg(target_os = "linux")]
pub use crate::linux::ebpf::{Aim, Attached, Program, Scope, Way, find as find_call};

#[cfg(not(target_os = "linux"))]
compile_error!("srt runs on Linux; the macOS backend is not part of this version");

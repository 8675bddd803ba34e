//! The platform, chosen once.
//!
//! Everything above this module is the same on every platform; everything it leads to is one platform's own.

#[cfg(target_os = "linux")]
pub use crate::linux::{
    Answer, Armed, Census, Channel, Connect, Denied, DeniedTarget, EbpfTrial, Frozen, Hooks, Listener, Matter, NO_SIGNAL, ON_THE_WAY,
    Report, Running, Script, ServiceTrial, Usage, WRITE_INTENT, arm, call_name, close_inherited, command_of, compile, end_below_self,
    filter_refuses, freeze, id_of, is_path_only, open_to_owner, probe, probe_ebpf, spawn, try_ebpf, try_namespaces, try_service,
};

#[cfg(target_os = "linux")]
pub use crate::linux::ebpf::{Aim, Attached, Program, Scope, Way, find as find_call};

#[cfg(target_os = "linux")]
pub use crate::supervisor::has_terminal as can_ask;

#[cfg(target_os = "macos")]
pub use crate::macos::{
    Armed, NO_SIGNAL, ON_THE_WAY, Running, Script, arm, can_ask, close_inherited, compile, is_path_only, open_to_owner, probe, probe_ebpf,
    spawn, try_namespaces,
};

/// The system that this program was built for.
#[cfg(target_os = "linux")]
pub const PLATFORM: crate::host::Platform = crate::host::Platform::Linux;
/// The system that this program was built for.
#[cfg(not(target_os = "linux"))]
pub const PLATFORM: crate::host::Platform = crate::host::Platform::MacOs;

pub use crate::unix::{Command, WATCHED, ignore_sigpipe, open_standard_streams};

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("srt runs on Linux and on macOS");

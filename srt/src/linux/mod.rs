//! The Linux backend: one module per kernel primitive.
//!
//! [`compile`] (pure) makes a [`Script`] of a plan, [`arm`] opens what it needs, [`spawn`] forks. What happens inside is in `init`; read that first.
//!
//! `unsafe` is in the modules that make system calls which no crate wraps, or that work with descriptors by number; each block says why it is sound.

mod arm;
mod broker;
mod call_name;
mod caps;
mod census;
mod channel;
pub(crate) mod ebpf;
mod ebpf_trial;
mod exec;
mod failure;
mod fds;
mod freeze;
mod helper;
mod init;
mod landlock;
mod mount_api;
mod mount_table;
mod mounts;
mod network;
mod notify;
mod objects;
mod probe;
mod processes;
mod question;
mod route;
mod script;
mod seccomp;
mod service_trial;
mod spawn;
mod sys;

#[cfg(test)]
pub(crate) use network::testing::Inside;

#[cfg(any(test, fuzzing))]
pub(crate) use broker::fuzzing::{resolve as fuzz_resolve, wire as fuzz_wire};

pub use arm::{Armed, arm, close_inherited};
pub use call_name::call_name;
pub use census::{Census, Usage};
pub use channel::{Channel, Report};
pub use ebpf_trial::{EbpfTrial, Hooks, try_ebpf};
pub use freeze::{Frozen, freeze};
pub use objects::{NO_SIGNAL, ON_THE_WAY, is_path_only, open_to_owner};
pub use probe::{probe, probe_ebpf, try_namespaces};
pub use processes::{command as command_of, end_below_self, id_of};
pub use question::{Answer, Connect, Denied, DeniedTarget, Matter};
#[cfg(test)]
pub(crate) use script::Network;
pub use script::{Script, compile};
pub use seccomp::filter_refuses;
pub use service_trial::{Listener, ServiceTrial, try_service};
pub use spawn::{Running, spawn};

use crate::Fault;

fn fault(failure: &failure::Failure) -> Fault {
    Fault::os(failure.action.clone(), failure.errno)
}

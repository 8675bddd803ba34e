//! The macOS backend: what Seatbelt is told, what the system log tells back, and how the command is run.
//!
//! Everything but `native`, which makes the calls that only macOS has, is compiled and tested on every platform: a profile can be reviewed and proved against the
//! policy where there is no Mac, and a run takes place there with everything but the confinement. [`arm_for`] takes the calls as an
//! argument.

mod arm;
mod child;
mod descriptors;
pub mod log;
#[cfg(target_os = "macos")]
mod native;
mod os;
mod release;
mod script;
pub mod seatbelt;
pub(crate) mod signals;
mod spawn;
mod tag;
mod tree;
pub(crate) mod watcher;
pub(crate) mod witness;

pub use arm::{Armed, arm_for};
pub use descriptors::close_inherited;
#[cfg(target_os = "macos")]
pub use native::{
    NO_SIGNAL, ON_THE_WAY, System, arm, can_ask, examine, is_path_only, open_to_owner, probe, probe_ebpf, spawn, try_namespaces,
};
pub use os::{Confine, Members, Os, Way};
pub use release::Release;
pub use script::{Script, compile};
pub use spawn::{Begun, Running, spawn_with};
pub use tag::RunTag;
pub use tree::{Tree, descendants};

//! The plan as a Seatbelt profile.
//!
//! Pure. Everything is denied that no rule allows. Rules on files follow the policy exactly: what [`FsPolicy::decide`](crate::policy::FsPolicy::decide) says of a path
//! is what the profile says of it. Hosts are the proxy's: the profile lets the command reach nothing else.
//!
//! Each denial carries a message that names its rule; the system logs it, and [`log`](super::log) reads it back.
//!
//! The language is described by nobody but its users. What is used here of it is in use elsewhere: see `docs/macos.md`.

mod files;
mod keep;
mod layers;
mod names;
mod network;
mod pattern;
mod rule;
mod spelling;
mod system;
mod text;

use super::RunTag;
use crate::plan::Plan;
use crate::{Fault, Faults};

use rule::Writer;

/// The name of the rule that denies what no other allows, in messages.
pub(super) const DEFAULT_RULE: &str = "default";

/// What differs from one run to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The run in messages.
    pub run: RunTag,
    /// Where the proxy of the run listens, on the host's loopback.
    pub proxy_port: u16,
}

/// Writes the profile.
///
/// # Errors
/// Every rule that the language cannot say: a string beyond its limit, patterns that would take too many expressions. The plan of another platform.
pub fn compile(plan: &Plan, instance: &Instance) -> Result<String, Faults> {
    let Some(seatbelt) = &plan.seatbelt else {
        return Err(Fault::new("write a Seatbelt profile", "the plan is for another platform").into());
    };
    let mut writer = Writer::new(instance.run);
    writer.lines("(version 1)\n");
    writer.default_denial();
    system::basics(&mut writer);
    system::mark(&mut writer, instance.run);
    system::grants(&mut writer, seatbelt);
    network::section(&mut writer, &plan.network, seatbelt, &plan.files.private_tmp, instance);
    let rules = files::Rules::new(&seatbelt.files);
    files::read(&mut writer, &rules);
    files::write_section(&mut writer, &rules);
    keep::section(&mut writer, &rules);
    writer.finish().map_err(|faults| Faults::new(faults).unwrap_or_else(|| Fault::new("write a Seatbelt profile", "it was refused").into()))
}

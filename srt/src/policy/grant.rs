//! What of the system, beside files and hosts, a run may use. Only macOS asks; on Linux each of these is either always there or not at all.

use super::Located;
use crate::settings::{MacOsSettings, Settings};

/// One thing that is denied unless the settings allow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Look up the Mach service of this name; one `*` at its end stands for anything.
    MachLookup(String),
    /// Look up the trust daemon, which verifies certificates and makes requests of its own to do so.
    TrustDaemon,
    /// Send Apple events and open applications.
    AppleEvents,
    /// Make pseudo-terminals.
    PseudoTerminals,
    /// Listen on local ports, and connect to every port of the loopback.
    LocalBinding,
}

/// The grants, in the order of the sections of a profile.
pub(super) fn grants(settings: &Settings) -> Vec<Located<Grant>> {
    let MacOsSettings { allow_mach_lookup, allow_local_binding, enable_weaker_network_isolation, allow_apple_events, allow_pty } =
        &settings.macos;
    let switches = [
        (Grant::TrustDaemon, enable_weaker_network_isolation),
        (Grant::AppleEvents, allow_apple_events),
        (Grant::PseudoTerminals, allow_pty),
        (Grant::LocalBinding, allow_local_binding),
    ];
    let on = |(grant, switch): (Grant, &Option<Located<bool>>)| {
        let set = switch.as_ref().filter(|switch| switch.value)?;
        Some(Located::new(grant, set.origin.clone()))
    };
    let names = allow_mach_lookup.iter().map(|name| Located::new(Grant::MachLookup(name.value.clone()), name.origin.clone()));
    names.chain(switches.into_iter().filter_map(on)).collect()
}

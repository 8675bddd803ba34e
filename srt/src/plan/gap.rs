//! Layers that are wanted and cannot be had.

use std::fmt;

use serde::Serialize;

use super::{Answer, Refusal, SCOPES_ABI, Support};
use crate::host::Platform;
use crate::policy::{NameRule, Origin, Policy};

/// One missing layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Short stable name, as `acceptGaps` takes it.
    pub name: &'static str,
    /// What is lost.
    pub loss: String,
    /// What would close it.
    pub remedy: String,
    /// May `acceptGaps` accept it?
    #[serde(skip)]
    pub acceptable: bool,
    /// The setting that wants the layer.
    #[serde(serialize_with = "origin_text")]
    pub origin: Option<Origin>,
}

fn origin_text<S: serde::Serializer>(origin: &Option<Origin>, serializer: S) -> Result<S::Ok, S::Error> {
    origin.as_ref().map(ToString::to_string).serialize(serializer)
}

/// Gaps that keep a run from starting; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps(pub Vec<Gap>);

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot enforce the policy: {} ({})", self.loss, self.name)?;
        if let Some(origin) = &self.origin {
            write!(f, "\n  from {origin}")?;
        }
        write!(f, "\nhint: {}", self.remedy)?;
        if self.acceptable {
            write!(f, "; \"acceptGaps\": [{:?}] in the settings, or --accept-gap {}, runs without it", self.name, self.name)?;
        }
        Ok(())
    }
}

/// Every name that `acceptGaps` takes.
pub(super) const ACCEPTABLE: &[&str] = &["name-rules", "unix-socket-paths", "transparent-network", "landlock-scopes"];

/// Compares what the policy wants with what the host has. The gaps that remain accepted are returned, so that they can be said.
///
/// # Errors
/// The gaps that nobody accepted.
pub(super) fn find(policy: &Policy, support: &Support) -> Result<Vec<Gap>, Gaps> {
    let mut found = unknown_names(policy);
    // Seatbelt holds everything that these layers are for.
    if policy.platform == Platform::Linux {
        found.splice(..0, host_gaps(policy, support));
        if let Answer::No(refusal) = &support.user_notification {
            found.extend(broker_gaps(policy, refusal));
        }
    } else if let Some(Answer::No(refusal)) = &support.seatbelt {
        found.push(host_gap("seatbelt", refusal.cause.clone(), refusal.remedy.clone()));
    }
    let accepted = |gap: &Gap| gap.acceptable && policy.accept_gaps.iter().any(|name| name.value == gap.name);
    let (said, refused): (Vec<Gap>, Vec<Gap>) = found.into_iter().partition(|gap| gap.name == LANDLOCK || accepted(gap));
    if refused.is_empty() { Ok(said) } else { Err(Gaps(refused)) }
}

/// Accepted by default: mounts and namespaces are complete without it.
const LANDLOCK: &str = "landlock";

/// Will a run have namespaces of its own?
pub(super) fn has_namespaces(support: &Support) -> bool {
    !matches!(support.user_namespaces, Answer::No(_))
}

fn host_gaps(policy: &Policy, support: &Support) -> Vec<Gap> {
    let mut found = Vec::new();
    match &support.user_namespaces {
        Answer::No(refusal) if policy.weaker_nested => found.extend(gaps_without_namespaces(refusal, support)),
        Answer::No(refusal) => {
            let remedy = format!("{}; or {WEAKER} in the settings, which runs with Landlock, filter and broker alone", refusal.remedy);
            found.push(host_gap("user-namespaces", refusal.cause.clone(), remedy));
        }
        Answer::Yes | Answer::Unknown(_) => {}
    }
    if let Answer::No(refusal) = &support.seccomp {
        found.push(host_gap("seccomp", refusal.cause.clone(), refusal.remedy.clone()));
    }
    if support.landlock_abi == 0 {
        let remedy = "Linux 5.13 or newer with `landlock` in the kernel's list of security modules";
        found.push(host_gap(LANDLOCK, "no second layer for files: this kernel has no Landlock".to_owned(), remedy.to_owned()));
    }
    found
}

const WEAKER: &str = "\"enableWeakerNestedSandbox\": true";

/// What stands alone then must be there, and whole.
fn gaps_without_namespaces(refusal: &Refusal, support: &Support) -> Vec<Gap> {
    let mut found = Vec::new();
    let without = format!("without namespaces ({})", refusal.cause);
    if let Answer::No(missing) = &support.user_notification {
        found.push(host_gap(
            "user-namespaces",
            format!("{without} everything rests on the broker: {}", missing.cause),
            missing.remedy.clone(),
        ));
    }
    if support.landlock_abi == 0 {
        let remedy = "Linux 5.13 or newer with `landlock` in the kernel's list of security modules".to_owned();
        found.push(host_gap("user-namespaces", format!("{without} write roots rest on Landlock, which this kernel has not"), remedy));
    } else if support.landlock_abi < SCOPES_ABI {
        let loss = format!("{without} nothing keeps signals and abstract sockets inside (Landlock below ABI {SCOPES_ABI})");
        found.push(Gap { acceptable: true, ..host_gap("landlock-scopes", loss, "Linux 6.12 or newer".to_owned()) });
    }
    found
}

fn host_gap(name: &'static str, loss: String, remedy: String) -> Gap {
    Gap { name, loss, remedy, acceptable: false, origin: None }
}

/// What the broker does, where there is none: rules on names, sockets by path, and a network that needs no proxy variables.
fn broker_gaps(policy: &Policy, refusal: &Refusal) -> Vec<Gap> {
    let gap = |name: &'static str, loss: String, origin: Option<Origin>| Gap {
        name,
        loss: format!("{loss}: {}", refusal.cause),
        remedy: refusal.remedy.clone(),
        acceptable: true,
        origin,
    };
    let mut found = vec![gap("name-rules", "protected names and rules that name no existing object are not held".to_owned(), None)];
    found.extend(policy.inventory.by_name_only.iter().filter(|rule| by_user(rule)).map(|rule| {
        gap(
            "name-rules",
            format!("{} {:?} is about a name and not about an existing file or directory", rule.key, rule.spelled),
            Some(rule.origin.clone()),
        )
    }));
    let sockets = policy.network.allow_unix_sockets.iter().filter(|_| !policy.network.allow_all_unix_sockets);
    found.extend(sockets.map(|entry| {
        let loss = format!("network.allowUnixSockets {:?} cannot be opened alone, and every UNIX socket stays closed", entry.value.text);
        gap("unix-socket-paths", loss, Some(entry.origin.clone()))
    }));
    // A connect(2) to the sandbox's own loopback can only be led to the host's by whoever performs it.
    found.extend(policy.network.allow_host_ports.iter().map(|port| {
        gap("transparent-network", format!("network.allowHostPorts {} cannot be led to the host", port.value), Some(port.origin.clone()))
    }));
    if !policy.network.allows_nothing() {
        found.push(gap("transparent-network", "only programs that use the proxy variables reach allowed hosts".to_owned(), None));
    }
    found
}

/// Presets and built-in rules name what many hosts do not have. What may not be read and is not there cannot be hidden by any layer; `explain` lists it.
fn by_user(rule: &NameRule) -> bool {
    !matches!(rule.origin, Origin::BuiltIn(_) | Origin::Profile { .. }) && rule.key != "denyRead"
}

/// A name that accepts nothing is a mistake that would otherwise go unseen.
fn unknown_names(policy: &Policy) -> Vec<Gap> {
    policy
        .accept_gaps
        .iter()
        .filter(|name| !ACCEPTABLE.contains(&name.value.as_str()))
        .map(|name| Gap {
            name: "accept-gaps",
            loss: format!("acceptGaps names {:?}, which is not a gap that can be accepted", name.value),
            remedy: format!("the names are {}", ACCEPTABLE.join(", ")),
            acceptable: false,
            origin: Some(name.origin.clone()),
        })
        .collect()
}

//! Layers that are wanted and cannot be had.

use std::fmt;

use serde::Serialize;

use super::{Answer, Support};
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
pub(super) const ACCEPTABLE: &[&str] = &["name-rules", "unix-socket-paths", "transparent-network"];

/// Compares what the policy wants with what the host has. The gaps that remain accepted are returned, so that they can be said.
///
/// # Errors
/// The gaps that nobody accepted.
pub(super) fn find(policy: &Policy, support: &Support, transparent: bool) -> Result<Vec<Gap>, Gaps> {
    let mut found = host_gaps(support);
    found.extend(unknown_names(policy));
    found.extend(policy_gaps(policy));
    found.extend(host_ports(policy, transparent));
    let accepted = |gap: &Gap| gap.acceptable && policy.accept_gaps.iter().any(|name| name.value == gap.name);
    let (said, refused): (Vec<Gap>, Vec<Gap>) = found.into_iter().partition(|gap| gap.name == LANDLOCK || accepted(gap));
    if refused.is_empty() { Ok(said) } else { Err(Gaps(refused)) }
}

/// Accepted by default: mounts and namespaces are complete without it.
const LANDLOCK: &str = "landlock";

fn host_gaps(support: &Support) -> Vec<Gap> {
    let mut found = Vec::new();
    if let Answer::No(refusal) = &support.user_namespaces {
        found.push(host_gap("user-namespaces", refusal.cause.clone(), refusal.remedy.clone()));
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

fn host_gap(name: &'static str, loss: String, remedy: String) -> Gap {
    Gap { name, loss, remedy, acceptable: false, origin: None }
}

/// Rules that need names judged at the time of the call; the mounts of this version hold objects only.
fn policy_gaps(policy: &Policy) -> Vec<Gap> {
    // Presets and built-in rules name what many hosts do not have; `explain` lists those that do not hold. So it does with what may not be read and is not there.
    let by_user = |rule: &&NameRule| !matches!(rule.origin, Origin::BuiltIn(_) | Origin::Profile { .. }) && rule.key != "denyRead";
    let names = policy.inventory.by_name_only.iter().filter(by_user).map(|rule| Gap {
        name: "name-rules",
        loss: format!(
            "{} {:?} is about a name and not about an existing file or directory, which this version cannot hold",
            rule.key, rule.spelled
        ),
        remedy: "name a path that exists, that is no link, without glob characters".to_owned(),
        acceptable: true,
        origin: Some(rule.origin.clone()),
    });
    let sockets = policy.network.allow_unix_sockets.iter().filter(|_| !policy.network.allow_all_unix_sockets).map(|entry| Gap {
        name: "unix-socket-paths",
        loss: format!("network.allowUnixSockets {:?} cannot be opened alone yet: every UNIX socket stays closed", entry.value.text),
        remedy: "network.allowAllUnixSockets opens all of them".to_owned(),
        acceptable: true,
        origin: Some(entry.origin.clone()),
    });
    names.chain(sockets).collect()
}

/// A connect(2) to the sandbox's own loopback can only be led to the host's by whoever performs it.
fn host_ports(policy: &Policy, transparent: bool) -> impl Iterator<Item = Gap> {
    let ports = if transparent { &[] } else { policy.network.allow_host_ports.as_slice() };
    ports.iter().map(|port| Gap {
        name: "transparent-network",
        loss: format!("network.allowHostPorts {} needs connections to be redirected, which cannot be done here yet", port.value),
        remedy: format!("through the proxy variables, \"localhost:{}\" in network.allowedDomains reaches the same port", port.value),
        acceptable: true,
        origin: Some(port.origin.clone()),
    })
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

//! What a run may do, as validated rules.
//!
//! Pure: a policy is built from settings and facts by [`resolve`], and asked through [`FsPolicy::decide`] and [`NetPolicy::decide`].
//! Enforcement, `explain`, `check` and the attribution of violations all ask these two functions and no other.

mod address;
mod domain;
mod host;
mod net;
mod net_build;
mod origin;
mod parent;
mod path;
#[cfg(test)]
pub(crate) mod testing;

pub use address::AddressClass;
pub use domain::{DomainList, DomainPattern};
pub use host::{Host, HostName, MalformedHost, Target};
pub use net::{AddressRule, MitmProxy, NetPolicy, NetRule, NetVerdict};
pub use origin::{Located, Origin, Position};
pub use parent::{ParentProtocol, ParentProxy, ParentUrl};
pub use path::AbsPath;

/// Short stable name of a rule within one policy: `fs.deny-write.2`, `net.allow.3`, `net.default`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(pub String);

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

//! What a run may do, as validated rules.
//!
//! Pure: a policy is built from settings and facts by [`resolve`], and asked through [`FsPolicy::decide`] and [`NetPolicy::decide`].
//! Enforcement, `explain`, `check` and the attribution of violations all ask these two functions and no other.

mod address;
mod change;
mod domain;
mod entry;
mod fs;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod glob;
mod glob_walk;
mod grant;
mod host;
mod inventory;
mod lookup;
mod moved;
mod names;
mod net;
mod net_build;
mod origin;
mod parent;
mod path;
mod planted;
mod protected;
mod resolve;
mod scan;
mod subtree;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
mod wire;

pub use address::AddressClass;
pub use change::{file_rules_that_differ, without_effect};
pub use domain::{DomainList, DomainPattern};
pub use fs::{Access, FsEffect, FsPolicy, FsRule, FsVerdict, Matcher};
pub use glob::{Glob, GlobPiece, is_glob, strip_subtree};
pub use grant::Grant;
pub use host::{Host, HostName, MalformedHost, Target};
pub use inventory::{Entry, Inventory, NameRule, Point};
pub use lookup::{FileKind, PathLookup, RealPath};
pub use net::{AddressRule, MitmProxy, NetPolicy, NetRule, NetVerdict};
pub use origin::{Located, Origin, Position};
pub use parent::{ParentProtocol, ParentProxy, ParentUrl};
pub use path::AbsPath;
pub use protected::{PROTECTED_NAMES, ProtectedName};
pub use resolve::{Policy, SocketRule, resolve};

/// Short stable name of a rule within one policy: `fs.deny-write.2`, `net.allow.3`, `net.default`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(pub String);

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

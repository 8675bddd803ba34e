//! What a run may do, as validated rules.
//!
//! Pure: a policy is built from settings and facts by [`resolve`], and asked through [`FsPolicy::decide`] and [`NetPolicy::decide`].
//! Enforcement, `explain`, `check` and the attribution of violations all ask these two functions and no other.

mod glob;
mod origin;
mod path;

pub use glob::{Glob, is_glob, strip_subtree};
pub use origin::{Located, Origin, Position};
pub use path::AbsPath;

/// Short stable name of a rule within one policy: `fs.deny-write.2`, `net.allow.3`, `net.default`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(pub String);

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

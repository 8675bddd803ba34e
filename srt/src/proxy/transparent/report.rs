//! Calls of programs as attempts, which the policy decides and events name.

use super::Asked;
use crate::proxy::denial::{Attempt, Seen};
use crate::violation::Kind;

impl Asked {
    /// The call as an attempt.
    pub(super) fn attempt(&self) -> Attempt<'_> {
        Attempt { kind: Kind::NetConnect, operation: &self.operation, seen: Seen::Broker(self.process.as_ref()) }
    }
}

//! What Seatbelt is told. It judges every name at every use, so it takes the rules themselves and needs no list of what exists.

use crate::policy::{FsPolicy, Grant, Located, Policy, SocketRule};

/// The rules of a run on macOS.
#[derive(Clone, Debug)]
pub struct SeatbeltPlan {
    /// Files.
    pub files: FsPolicy,
    /// UNIX sockets that are allowed one by one.
    pub sockets: Vec<SocketRule>,
    /// Services of the system.
    pub grants: Vec<Located<Grant>>,
}

pub(super) fn plan(policy: &Policy) -> SeatbeltPlan {
    SeatbeltPlan { files: policy.files.clone(), sockets: policy.unix_sockets.clone(), grants: policy.grants.clone() }
}

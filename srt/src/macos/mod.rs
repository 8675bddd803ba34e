//! The macOS backend, as far as it is pure: what Seatbelt is told, and what the system log tells back.
//!
//! Compiled and tested on every platform, so that a profile can be reviewed, and proved against the policy, where there is no Mac.

pub mod log;
pub mod seatbelt;
mod tag;

pub use tag::RunTag;

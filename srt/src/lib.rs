//! srt runs any command in a sandbox made from kernel primitives.
//!
//! One way leads through the code, and each type on it is built only from the one before:
//! settings → policy → plan → script → armed → running → outcome.

pub mod ask;
pub mod backend;
pub mod cli;
mod fault;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
#[cfg(target_os = "linux")]
mod linux;
pub mod macos;
#[cfg(target_os = "linux")]
pub mod monitor;
mod outcome;
pub mod plan;
pub mod policy;
pub mod proxy;
pub mod settings;
pub mod supervisor;
#[cfg(target_os = "linux")]
pub mod top;
mod unix;
pub mod violation;

pub use fault::{Fault, Faults};
pub use outcome::Outcome;

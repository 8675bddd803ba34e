//! srt runs any command in a sandbox made from kernel primitives.
//!
//! One way leads through the code, and each type on it is built only from the one before:
//! settings → policy → plan → script → armed → running → outcome.

mod fault;
pub mod policy;
pub mod proxy;
pub mod settings;
pub mod violation;

pub use fault::Fault;

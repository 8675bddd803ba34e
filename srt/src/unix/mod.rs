//! What both backends do by calls that every Unix has.

mod exec;
mod made;
mod program;
mod random;
mod scratch;
mod streams;

pub use exec::Command;
pub(crate) use exec::Exec;
pub(crate) use made::MadeDirectories;
pub(crate) use program::Program;
pub(crate) use random::random;
pub(crate) use scratch::Scratch;
pub(crate) use streams::check;
pub use streams::{WATCHED, ignore_sigpipe, open_standard_streams};

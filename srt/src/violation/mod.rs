//! Denied operations: one type, one stream.

mod event;
mod time;

pub use event::{Event, Kind, Process, RuleRef, Source};

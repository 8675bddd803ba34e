//! Denied operations: one type, one stream.
//!
//! Every source (broker, proxy, name server, kernel program) reports to an [`EventSink`]; the same denial is counted, not repeated. Text
//! fields hold what the sandbox chose; it is sanitised at the moment it is shown.

mod collector;
mod event;
mod file_rule;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod ignore;
mod render;
mod sanitise;
mod store;
mod subscriber;
mod suggest;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
mod time;

pub use collector::{EventSink, Report};
pub use event::{Event, Kind, Process, RuleRef, Source};
pub(crate) use file_rule::{file_advice, file_reason};
pub use ignore::IgnoreRules;
pub use render::{escaped as escaped_json, list, summary};
pub use sanitise::sanitise;
pub use store::{Run, STORE, Store};
pub use subscriber::Subscription;
pub use suggest::suggest;
#[cfg(target_os = "linux")]
pub(crate) use time::{parse as parse_time, text as rfc3339};

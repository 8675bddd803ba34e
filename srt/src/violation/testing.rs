//! Events for tests.

use std::time::SystemTime;

use super::{Event, Kind, RuleRef, Source};

/// A denied CONNECT to `target`.
pub(crate) fn event(target: &str) -> Event {
    Event {
        v: 1,
        time: SystemTime::UNIX_EPOCH,
        kind: Kind::NetConnect,
        operation: "CONNECT".into(),
        target: target.into(),
        errno: None,
        process: None,
        rule: RuleRef { id: "net.default".into(), origin: "built-in default".into() },
        reason: "host is not on the allow list".into(),
        allow: Some(format!("add \"{target}\" to network.allowedDomains")),
        source: Source::Proxy,
        count: 1,
    }
}

//! Which layers this host has, and which of them a test is about.
//!
//! `SRT_TEST_WITHOUT=user-notification,landlock` takes layers away by srt's hidden option, so that one kernel shows what the suite says on others. What an
//! older kernel lacks itself is found by `srt doctor`; whether that is right for a kernel is judged by who boots it.

use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// Gaps that a host without the broker has; the suite accepts them there, so that the rest is tested.
const GAPS_WITHOUT_BROKER: &[&str] = &["name-rules", "unix-socket-paths", "transparent-network"];

/// What a test may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The judge of names: user notification (Linux 5.19).
    Broker,
    /// Landlock at all (5.13).
    Landlock,
}

impl Layer {
    /// Does this host lack it?
    pub fn is_missing(self) -> bool {
        match self {
            Layer::Broker => report()["user_notification"]["answer"] != "yes",
            Layer::Landlock => report()["landlock_abi"] == 0,
        }
    }
}

/// Options for every srt that the suite starts: none on a host that has everything.
pub(crate) fn options() -> &'static [String] {
    static OPTIONS: OnceLock<Vec<String>> = OnceLock::new();
    OPTIONS.get_or_init(|| {
        let accepted = GAPS_WITHOUT_BROKER.iter().filter(|_| Layer::Broker.is_missing());
        taken_away().chain(accepted.flat_map(|gap| ["--accept-gap".to_owned(), (*gap).to_owned()])).collect()
    })
}

fn taken_away() -> impl Iterator<Item = String> {
    let layers = std::env::var("SRT_TEST_WITHOUT").unwrap_or_default();
    let layers: Vec<String> = layers.split(',').filter(|layer| !layer.is_empty()).map(str::to_owned).collect();
    layers.into_iter().flat_map(|layer| ["--without".to_owned(), layer])
}

fn report() -> &'static Value {
    static REPORT: OnceLock<Value> = OnceLock::new();
    REPORT.get_or_init(|| {
        let output = Command::new(crate::srt()).args(taken_away()).args(["doctor", "--json"]).output();
        let output = output.unwrap_or_else(|error| panic!("cannot ask srt for this host's layers: {error}"));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("srt gives no report of this host's layers: {error}"))
    })
}

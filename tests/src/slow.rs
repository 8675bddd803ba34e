//! Time on slow machines.
//!
//! `SRT_TEST_SLOW=20` says that this one, emulated perhaps, is that many times slower than most. Limits are only ends to what hangs, so a factor
//! weakens no test.

use std::sync::OnceLock;
use std::time::Duration;

/// How long to wait for what must come.
pub fn patience(seconds: u64) -> Duration {
    Duration::from_secs(seconds) * factor()
}

/// Sleeps, so that what must not happen has had its time to.
pub fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds) * factor());
}

fn factor() -> u32 {
    static FACTOR: OnceLock<u32> = OnceLock::new();
    *FACTOR.get_or_init(|| {
        let Ok(text) = std::env::var("SRT_TEST_SLOW") else { return 1 };
        text.parse().ok().filter(|factor| (1..=1000).contains(factor)).unwrap_or_else(|| panic!("SRT_TEST_SLOW={text:?} is no factor"))
    })
}

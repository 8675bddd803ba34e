//! Processes of the host, found by a marker on their command line.

use std::fs;
use std::time::{Duration, Instant};

use crate::patience;

/// Ids of the processes whose command line holds `marker`. Ended ones that nobody has waited for have no command line.
pub fn marked(marker: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(marker) {
            found.push(pid);
        }
    }
    found
}

/// Waits until no process carries the marker: an end by signal is not instantaneous.
///
/// # Panics
/// When some are still there after half a minute.
#[track_caller]
pub fn assert_gone(marker: &str) {
    let start = Instant::now();
    while !marked(marker).is_empty() {
        assert!(start.elapsed() < patience(30), "processes {:?} of {marker} live on", marked(marker));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a process carries the marker.
///
/// # Panics
/// When there is none after half a minute.
#[track_caller]
pub fn assert_appears(marker: &str) {
    let start = Instant::now();
    while marked(marker).is_empty() {
        assert!(start.elapsed() < patience(30), "no process carries {marker}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the process is stopped.
///
/// # Panics
/// When it is not after half a minute.
#[track_caller]
pub fn assert_stopped(pid: u32) {
    let start = Instant::now();
    while stat_field(pid, 3).as_deref() != Some("T") {
        assert!(start.elapsed() < patience(30), "process {pid} is not stopped");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc_pid_stat(5); 3 is the state, 19 the nice value.
pub fn stat_field(pid: u32, field: usize) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and parentheses.
    let (_, after_name) = text.rsplit_once(") ")?;
    after_name.split_whitespace().nth(field.checked_sub(3)?).map(str::to_owned)
}

/// A text that no other process carries.
pub fn marker(what: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("srt-marker-{}-{}-{what}-end", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

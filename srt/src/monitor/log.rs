//! The host's stream on standard output, as JSON lines.
//!
//! A thread writes: where the reader is slow, the loop does not wait. What waits is bounded; what does not fit is counted, and the count is a line.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::registry::Sink;
use super::wire::{self, Shown};

/// Bytes that wait for the reader.
const WAITING: usize = 1 << 20;
/// How long the end waits for the reader.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The writing end.
#[derive(Debug)]
pub(super) struct Log {
    sender: Option<Sender<Box<[u8]>>>,
    waiting: Arc<AtomicUsize>,
    dropped: u64,
    thread: Option<JoinHandle<()>>,
}

impl Log {
    /// Starts writing to `out`.
    pub(super) fn start(mut out: impl Write + Send + 'static) -> io::Result<Log> {
        let (sender, lines) = channel::<Box<[u8]>>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        let thread = std::thread::Builder::new().name("log".to_owned()).stack_size(64 * 1024).spawn(move || {
            for line in lines {
                // A reader that is gone is no reason to end: the runs go on.
                let _ = out.write_all(&line).and_then(|()| out.flush());
                left.fetch_sub(line.len(), Ordering::Relaxed);
            }
        })?;
        Ok(Log { sender: Some(sender), waiting, dropped: 0, thread: Some(thread) })
    }

    fn add(&mut self, packet: &[u8]) -> bool {
        let line = [packet, b"\n"].concat().into_boxed_slice();
        if self.waiting.load(Ordering::Relaxed) + line.len() > WAITING {
            return false;
        }
        self.waiting.fetch_add(line.len(), Ordering::Relaxed);
        self.sender.as_ref().is_some_and(|sender| sender.send(line).is_ok())
    }

    fn add_dropped(&mut self) {
        if self.dropped > 0 && self.add(&wire::dropped(self.dropped)) {
            self.dropped = 0;
        }
    }
}

impl Sink for Log {
    fn packet(&mut self, packet: &[u8]) {
        self.add_dropped();
        if self.dropped > 0 || !self.add(packet) {
            self.dropped += 1;
        }
    }

    fn violation(&mut self, _: &Shown<'_>, _: &[u8]) {}
}

impl Drop for Log {
    fn drop(&mut self) {
        self.add_dropped();
        drop(self.sender.take());
        let start = Instant::now();
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && start.elapsed() < LAST_WAIT {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_reader_that_stops_reading_costs_a_bounded_queue_and_learns_what_it_missed() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut log = Log::start(writer).unwrap();
        for _ in 0..50_000 {
            log.packet(&wire::end(7));
        }
        assert!(log.dropped > 0 && log.waiting.load(Ordering::Relaxed) <= WAITING);
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        while log.waiting.load(Ordering::Relaxed) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(log);
        let (mut ends, mut dropped) = (0, 0);
        for line in reading.join().unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            match value["type"].as_str() {
                Some("end") => ends += 1,
                _ => dropped += value["count"].as_u64().unwrap(),
            }
        }
        assert_eq!(ends + dropped, 50_000);
    }
}

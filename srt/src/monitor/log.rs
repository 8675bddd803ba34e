//! The host's stream on standard output, as JSON lines.
//!
//! A thread writes: where the reader is slow, the loop does not wait. What waits is bounded, for all and for each user; what does not fit is counted, and the count is a line.

use std::io::{self, Write};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::registry::Sink;
use super::share::{Pool, Share};
use super::wire::{self, Shown};

/// Bytes that wait for the reader, and those of them that are about runs of one user.
const WAITING: usize = 1 << 20;
const OF_ONE: usize = WAITING / 4;
/// How long the end waits for the reader.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// A line, and its share of what may wait.
type Waiting = (Box<[u8]>, Share);

/// The writing end.
#[derive(Debug)]
pub(super) struct Log {
    sender: Option<Sender<Waiting>>,
    waiting: Pool,
    dropped: u64,
    thread: Option<JoinHandle<()>>,
}

impl Log {
    /// Starts writing to `out`.
    pub(super) fn start(mut out: impl Write + Send + 'static) -> io::Result<Log> {
        let (sender, lines) = channel::<Waiting>();
        let thread = std::thread::Builder::new().name("log".to_owned()).stack_size(64 * 1024).spawn(move || {
            for (line, _share) in lines {
                // A reader that is gone is no reason to end: the runs go on.
                let _ = out.write_all(&line).and_then(|()| out.flush());
            }
        })?;
        Ok(Log { sender: Some(sender), waiting: Pool::new(WAITING, OF_ONE), dropped: 0, thread: Some(thread) })
    }

    fn add(&mut self, packet: &[u8], share: Share) -> bool {
        let line = [packet, b"\n"].concat().into_boxed_slice();
        self.sender.as_ref().is_some_and(|sender| sender.send((line, share)).is_ok())
    }

    fn add_dropped(&mut self, uid: u32) {
        if self.dropped == 0 {
            return;
        }
        let packet = wire::dropped(self.dropped);
        if let Ok(share) = self.waiting.share(uid, packet.len() + 1)
            && self.add(&packet, share)
        {
            self.dropped = 0;
        }
    }
}

impl Sink for Log {
    fn packet(&mut self, uid: u32, packet: &[u8]) {
        match self.waiting.share(uid, packet.len() + 1) {
            Ok(share) => {
                self.add_dropped(uid);
                if self.dropped > 0 || !self.add(packet, share) {
                    self.dropped += 1;
                }
            }
            Err(_) => self.dropped += 1,
        }
    }

    fn violation(&mut self, _: &Shown<'_>, _: &[u8]) {}
}

impl Drop for Log {
    fn drop(&mut self) {
        // Nobody has this number: there is always room for a line of his.
        self.add_dropped(u32::MAX);
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
            log.packet(1, &wire::end(7));
        }
        let dropped = log.dropped;
        assert!(dropped > 0 && log.waiting.taken() <= WAITING);
        log.packet(2, &wire::end(7));
        assert_eq!(log.dropped, 0, "a user who says little is heard");
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        while log.waiting.taken() > 0 {
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
        assert_eq!(ends + dropped, 50_001);
    }
}

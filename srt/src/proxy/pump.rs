//! One direction of a tunnel.
//!
//! A read is followed by its write before the next read, so what is held for a slow reader never exceeds one chunk, or one pipe. Reading uses one
//! buffer for all tunnels of the thread; only what a slow reader left over is copied out, so idle tunnels hold no memory.

use std::cell::{Cell, RefCell};
use std::io;

use tokio::io::Interest;
use tokio::time::Instant;

use super::ProxyContext;
use super::limits;
use super::stream::Stream;

/// A direction that has moved so much is worth a pipe for splice(2).
#[cfg(target_os = "linux")]
const SPLICE_AFTER: u64 = 256 * 1024;

/// Chunks moved before other tunnels get their turn.
const TURN: u32 = 16;

thread_local! {
    static CHUNK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// When the last byte moved, either way.
#[derive(Debug)]
pub(super) struct Activity(Cell<Instant>);

impl Activity {
    pub(super) fn begin() -> Self {
        Activity(Cell::new(Instant::now()))
    }

    pub(super) fn touch(&self) {
        self.0.set(Instant::now());
    }

    /// Ends when nothing has moved for the whole idle time.
    pub(super) async fn ceased(&self) {
        while self.0.get().elapsed() < limits::IDLE {
            tokio::time::sleep_until(self.0.get() + limits::IDLE).await;
        }
    }
}

/// What one step did.
pub(super) enum Step {
    /// So many bytes went over.
    Moved(u64),
    /// The sender has finished.
    Ended,
}

/// Moves bytes until the sender finishes, then tells the receiver so.
pub(super) async fn pump(context: &ProxyContext, from: &Stream, to: &Stream, activity: &Activity) -> io::Result<()> {
    let mut moved = 0;
    let mut turn = 0;
    loop {
        match step(context, from, to, moved, activity).await {
            Ok(Step::Moved(bytes)) => moved += bytes,
            Ok(Step::Ended) => return to.finish_writing(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                from.ready(Interest::READABLE).await?;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        activity.touch();
        turn += 1;
        if turn % TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(target_os = "linux")]
async fn step(context: &ProxyContext, from: &Stream, to: &Stream, moved: u64, activity: &Activity) -> io::Result<Step> {
    let lease = if moved >= SPLICE_AFTER { context.pipes.lease() } else { None };
    match lease {
        Some(lease) => lease.burst(from, to, activity).await,
        None => copy(from, to).await,
    }
}

#[cfg(not(target_os = "linux"))]
async fn step(_context: &ProxyContext, from: &Stream, to: &Stream, _moved: u64, _activity: &Activity) -> io::Result<Step> {
    copy(from, to).await
}

async fn copy(from: &Stream, to: &Stream) -> io::Result<Step> {
    let (read, left_over) = read_and_write(from, to)?;
    if read == 0 {
        return Ok(Step::Ended);
    }
    to.write_everything(&left_over).await?;
    Ok(Step::Moved(read as u64))
}

/// How much was read, and what of it the receiver did not take yet.
fn read_and_write(from: &Stream, to: &Stream) -> io::Result<(usize, Vec<u8>)> {
    CHUNK.with_borrow_mut(|chunk| {
        chunk.resize(limits::CHUNK, 0);
        let read = from.try_read(chunk)?;
        if read == 0 {
            return Ok((0, Vec::new()));
        }
        let written = match to.try_write(&chunk[..read]) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            done => done?,
        };
        Ok((read, chunk[written..read].to_vec()))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn silence_ends_after_the_idle_time_and_each_byte_postpones_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (activity, begun) = (Activity::begin(), Instant::now());
            let bytes = async {
                tokio::time::sleep(limits::IDLE - Duration::from_secs(1)).await;
                activity.touch();
            };
            tokio::join!(bytes, activity.ceased());
            assert_eq!(begun.elapsed().as_secs(), 2 * limits::IDLE.as_secs() - 1);
        });
    }
}

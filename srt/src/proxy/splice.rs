//! Moving bulk data between two sockets inside the kernel, through a pipe. See splice(2).
//!
//! Pipes are descriptors, so they are few and lent out: a direction holds one only while data flows.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;

use super::limits;
use super::pump::{Activity, Step};
use super::stream::Stream;

/// Pipes of one proxy, two descriptors each. Further directions copy.
const PIPES: usize = 32;

/// Empty pipes, and how many exist.
#[derive(Debug, Default)]
pub(super) struct PipePool(RefCell<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    empty: Vec<Pipe>,
    made: usize,
    unusable: bool,
}

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe on loan. An empty one goes back to the pool; one that still holds bytes of a broken tunnel is closed.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    pool: &'a PipePool,
    pipe: Option<Pipe>,
    held: usize,
}

impl PipePool {
    /// An empty pipe; `None` where all are in use or none can be made.
    pub(super) fn lease(&self) -> Option<Lease<'_>> {
        let mut shelf = self.0.borrow_mut();
        if shelf.unusable {
            return None;
        }
        if shelf.empty.is_empty() && shelf.made < PIPES {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
            // Past the user's limit of pipe pages the kernel refuses, and through a pipe of 64 KiB splicing is slower than copying.
            fcntl_setpipe_size(&write, limits::PIPE).ok()?;
            shelf.empty.push(Pipe { read, write });
            shelf.made += 1;
        }
        shelf.empty.pop().map(|pipe| Lease { pool: self, pipe: Some(pipe), held: 0 })
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut shelf = self.pool.0.borrow_mut();
        match self.pipe.take() {
            Some(pipe) if self.held == 0 => shelf.empty.push(pipe),
            _ => shelf.made -= 1,
        }
    }
}

impl Lease<'_> {
    /// Moves what the sender has, until it has no more for now (`Moved`) or at all (`Ended`).
    pub(super) async fn burst(mut self, from: &Stream, to: &Stream, activity: &Activity) -> io::Result<Step> {
        let mut moved = 0;
        loop {
            match self.fill(from) {
                Ok(0) if moved == 0 => return Ok(Step::Ended),
                Ok(0) => return Ok(Step::Moved(moved)),
                Ok(filled) => {
                    self.held = filled;
                    moved += filled as u64;
                    self.drain(to).await?;
                    activity.touch();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && moved > 0 => return Ok(Step::Moved(moved)),
                // These sockets cannot be spliced here. Nothing is in the pipe; the caller goes on by copying.
                Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) && self.held == 0 => {
                    self.pool.0.borrow_mut().unusable = true;
                    return Ok(Step::Moved(moved));
                }
                Err(error) => return Err(error),
            }
            tokio::task::consume_budget().await;
        }
    }

    fn fill(&self, from: &Stream) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        from.try_io(Interest::READABLE, || move_some(from, &pipe.write, limits::PIPE))
    }

    async fn drain(&mut self, to: &Stream) -> io::Result<()> {
        let Some(pipe) = &self.pipe else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        while self.held > 0 {
            match to.try_io(Interest::WRITABLE, || move_some(&pipe.read, to, self.held)) {
                Ok(moved) => self.held = self.held.saturating_sub(moved),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.ready(Interest::WRITABLE).await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn move_some(from: &impl std::os::fd::AsFd, to: &impl std::os::fd::AsFd, length: usize) -> io::Result<usize> {
    Ok(splice(from, None, to, None, length, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_bounded_and_come_back() {
        let pool = PipePool::default();
        let leases: Vec<_> = (0..PIPES).map(|_| pool.lease().expect("below the bound")).collect();
        assert!(pool.lease().is_none());
        drop(leases);
        assert_eq!(pool.0.borrow().empty.len(), PIPES);
        let mut broken = pool.lease().unwrap();
        broken.held = 1;
        drop(broken);
        assert_eq!((pool.0.borrow().empty.len(), pool.0.borrow().made), (PIPES - 1, PIPES - 1), "a pipe with bytes is never lent again");
    }
}

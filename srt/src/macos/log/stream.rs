//! `/usr/bin/log stream`, for as long as the run goes on.
//!
//! In a process group of its own, so that no key at the terminal ends it before the command. What it prints is the system's, and of that only records that bear the tag
//! of this run count.

use std::io::Read as _;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::SystemTime;

use nix::sys::signal::SigSet;

use super::LogReader;
use crate::Fault;
use crate::macos::RunTag;
use crate::policy::FsPolicy;
use crate::violation::Event;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;

/// The stream of one run.
#[derive(Debug)]
pub struct LogStream {
    child: Child,
    output: ChildStdout,
    reader: LogReader,
    /// It has ended by itself, which it should not.
    pub(crate) over: bool,
}

impl LogStream {
    /// Starts it. Signals are held back at this time; it gets `mask`.
    ///
    /// # Errors
    /// It cannot be executed.
    pub(crate) fn start(program: &Path, run: RunTag, mask: &SigSet) -> Result<LogStream, Fault> {
        let fault = |error| Fault::os(format!("read the system log with {}", program.display()), error);
        let mut command = Command::new(program);
        command.args(super::arguments(run)).env_clear().process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mask = *mask;
        // SAFETY: setting the mask is a system call and nothing else.
        unsafe { command.pre_exec(move || Ok(crate::macos::signals::release(&mask)?)) };
        let mut child = command.spawn().map_err(fault)?;
        let output = child.stdout.take().ok_or_else(|| Fault::new("read the system log", "it has no output"))?;
        rustix::io::ioctl_fionbio(&output, true).map_err(|errno| fault(errno.into()))?;
        Ok(LogStream { child, output, reader: LogReader::new(run), over: false })
    }

    /// Its process.
    pub(crate) fn id(&self) -> i32 {
        self.child.id() as i32
    }

    /// What it has told since; none where there is nothing to read now.
    pub(crate) fn events(&mut self, files: &FsPolicy) -> Option<Vec<Event>> {
        let chunk = self.chunk()?;
        Some(self.reader.read(&chunk, files, SystemTime::now()))
    }

    /// Throws away what it has told since.
    #[cfg(target_os = "macos")]
    pub(crate) fn skip(&mut self) {
        while self.chunk().is_some() {}
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; CHUNK];
        match self.output.read(&mut bytes) {
            Ok(0) => {
                self.over = true;
                None
            }
            Ok(count) => {
                bytes.truncate(count);
                Some(bytes)
            }
            Err(_nothing_yet) => None,
        }
    }
}

/// Ends it. It keeps nothing, so it need not be asked politely.
impl Drop for LogStream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl AsRawFd for LogStream {
    fn as_raw_fd(&self) -> RawFd {
        self.output.as_raw_fd()
    }
}

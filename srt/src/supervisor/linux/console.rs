//! The person's terminal, for one question and its answer.
//!
//! The sandbox shares this terminal and is at rest while it is in use (see `desk`). What it did before must not matter: it may have left the terminal in the
//! middle of an escape sequence, with other colours or characters, without echo, with bytes typed or made up in the input queue. So the output is brought to
//! a known state first, the input is thrown away, and the settings are ours until they are given back.
//!
//! See tty_ioctl(4), termios(3), tcsetpgrp(3).

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Pid;
use rustix::termios::{self, Action, InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector, SpecialCodeIndex, Termios};
use tokio::io::unix::AsyncFd;

use crate::supervisor::terminal::own_group;

/// CAN and ST end any sequence that was begun; DECSTR makes characters, colours, cursor and margins plain and leaves the screen as it is.
const PLAIN: &str = "\x18\x1b\\\x1b[!p\x1b[0m\r\n";

/// Longest line that is read. The terminal itself keeps 4096 bytes.
const MAX_LINE: usize = 256;

/// The terminal, ours alone until [`Console::give_back`].
pub(super) struct Console {
    terminal: AsyncFd<OwnedFd>,
    before: Termios,
    foreground: Option<Pid>,
}

/// Why the terminal cannot be used now.
#[derive(Debug)]
pub(super) enum Unusable {
    /// Another job has it: taking it away would surprise the person.
    InUse,
    /// It cannot be opened or set.
    Io(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Unusable::Io(error)
    }
}

impl From<rustix::io::Errno> for Unusable {
    fn from(errno: rustix::io::Errno) -> Self {
        Unusable::Io(errno.into())
    }
}

/// Is there a terminal to ask on?
pub fn has_terminal() -> bool {
    open().is_ok()
}

fn open() -> rustix::io::Result<OwnedFd> {
    // A description of its own: that it does not block is nobody else's matter.
    rustix::fs::openat(CWD, "/dev/tty", OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
}

impl Console {
    /// Takes the terminal. `groups` are the process groups of the sandbox: from one of them, as from our own, the foreground may be taken.
    pub(super) fn take(groups: &[i32]) -> Result<Console, Unusable> {
        let terminal = open()?;
        // A group without a number cannot be made the foreground.
        let own = own_group().ok_or(Unusable::InUse)?;
        let foreground = termios::tcgetpgrp(&terminal).ok();
        let ours = |group: Pid| group == own || groups.contains(&group.as_raw_nonzero().get());
        if !foreground.is_some_and(ours) {
            return Err(Unusable::InUse);
        }
        let before = termios::tcgetattr(&terminal)?;
        // SAFETY: the descriptor owns what it names, and always names the same.
        let terminal = unsafe { AsyncFd::register(terminal) }.map_err(io::Error::from)?;
        let console = Console { terminal, before, foreground };
        console.settle(own)?;
        Ok(console)
    }

    /// In the foreground, line by line with echo. `SIGTTOU` is blocked in this process, so all this is permitted from the background.
    fn settle(&self, own: Pid) -> Result<(), Unusable> {
        let terminal = self.terminal.get_ref();
        let set = || -> rustix::io::Result<()> {
            if self.foreground != Some(own) {
                termios::tcsetpgrp(terminal, own)?;
            }
            // Not the forms that wait for output: the command may have suspended it, and the loop of the supervisor would stand still.
            termios::tcsetattr(terminal, OptionalActions::Now, &plain(self.before.clone()))?;
            termios::tcflow(terminal, Action::OOn)?;
            termios::tcflush(terminal, QueueSelector::IFlush)
        };
        set().map_err(Unusable::from)
    }

    /// Shows a text on a new line of a plain terminal.
    pub(super) async fn show(&self, text: &str) -> io::Result<()> {
        self.write(PLAIN).await?;
        self.write(text).await
    }

    /// Goes on with a line.
    pub(super) async fn write(&self, text: &str) -> io::Result<()> {
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            let mut ready = self.terminal.writable().await?;
            match rustix::io::write(ready.get_inner(), bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) => waits(error.into(), || ready.clear_ready())?,
            }
        }
        Ok(())
    }

    /// The next line that is typed; empty at the end of input.
    pub(super) async fn line(&self) -> io::Result<String> {
        let mut line = [0; MAX_LINE];
        loop {
            let mut ready = self.terminal.readable().await?;
            match rustix::io::read(ready.get_inner(), &mut line) {
                Ok(count) => return Ok(String::from_utf8_lossy(&line[..count]).into_owned()),
                Err(error) => waits(error.into(), || ready.clear_ready())?,
            }
        }
    }

    /// Everything as it was. What was typed meanwhile is not for the command.
    pub(super) fn give_back(self) {
        let _ = termios::tcflush(self.terminal.get_ref(), QueueSelector::IFlush);
        drop(self);
    }

    fn restore(&self) {
        let terminal = self.terminal.get_ref();
        let _ = termios::tcsetattr(terminal, OptionalActions::Now, &self.before);
        if let Some(group) = self.foreground {
            let _ = termios::tcsetpgrp(terminal, group);
        }
    }
}

/// Also where the run ends in the middle of a question: the person's shell comes next.
impl Drop for Console {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Not ready yet, or interrupted: then try again.
fn waits(error: io::Error, mut not_ready: impl FnMut()) -> io::Result<()> {
    match error.kind() {
        ErrorKind::WouldBlock => {
            not_ready();
            Ok(())
        }
        ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

/// Line by line, with echo and Ctrl-C. Not Ctrl-Z: the command would not see it, for it is stopped already.
fn plain(mut settings: Termios) -> Termios {
    settings.local_modes |=
        LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHOE | LocalModes::ECHOK | LocalModes::ISIG | LocalModes::IEXTEN;
    settings.local_modes &= !(LocalModes::NOFLSH | LocalModes::TOSTOP);
    settings.input_modes |= InputModes::ICRNL;
    settings.input_modes &= !(InputModes::IGNCR | InputModes::INLCR | InputModes::ISTRIP);
    settings.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
    // POSIX: this value switches a special character off; on Linux it is 0.
    settings.special_codes[SpecialCodeIndex::VSUSP] = 0;
    settings
}

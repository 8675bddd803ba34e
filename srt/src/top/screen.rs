//! The person's terminal, and that it is left as it was found: at the end, after an error, a panic, or a signal.

use std::io::{self, Stdout, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Once;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

/// The terminal while it is ours.
pub(super) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal that standard output is.
    pub(super) fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        // A release aborts on a panic, and nothing is dropped then.
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                previous(panic);
            }));
        });
        let screen = Screen(Terminal::new(CrosstermBackend::new(io::stdout()))?);
        take()?;
        Ok(screen)
    }

    /// Shows what `paint` paints; only what differs from the last time is written.
    pub(super) fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        self.0.draw(|frame| paint(frame.buffer_mut())).map(|_| ())
    }

    /// Ctrl-Z: gives the terminal back, stops, and takes it again when it goes on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        leave();
        nix::sys::signal::raise(Signal::SIGSTOP)?;
        take()?;
        self.0.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, Hide).inspect_err(|_| leave())
}

/// Where the terminal is gone, there is nothing to give back.
fn leave() {
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = io::stdout().flush();
}

/// Signals that end or stop a program: read between two pictures, so that none comes while the terminal is half written.
pub(super) struct Signals(SignalFd);

/// Readable when one came.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Signals {
    /// From here on they wait until they are asked for.
    pub(super) fn block() -> io::Result<Self> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP].into_iter().collect();
        set.thread_block()?;
        Ok(Signals(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// The number of one that came.
    pub(super) fn next(&mut self) -> io::Result<Option<i32>> {
        Ok(self.0.read_signal()?.map(|signal| signal.ssi_signo as i32))
    }
}

//! `srt top`: the running sandboxes, live.
//!
//! It only looks: at the streams of the runs themselves (see `supervisor::observers`) and, where there is one, at that of the service (`srt monitor`), which also knows
//! the runs in other network namespaces. Nothing here sends anything to a run, and nothing is asked of the system about one.
//!
//! ```text
//! source ─ messages ─ model ─┬─ view  (a terminal)
//!                            └─ plain (--once)
//! ```
//!
//! Trust: a run's lines come from srt itself, but the texts in them were chosen by the command: they are sanitised where they are shown. Every stream is read in small
//! portions, and everything that is kept has a bound, so no run can keep the others from being seen.

mod keys;
mod message;
mod model;
mod plain;
mod screen;
mod source;
mod view;

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use keys::{Came, Key};
use model::{Model, Sort};
use screen::{Screen, Signals};
use source::Source;

/// How often the streams are read and the screen is drawn.
const PERIOD: Duration = Duration::from_millis(250);

/// How long `--once` listens: runs answer at once, one that is very busy may not.
const LISTEN: Duration = Duration::from_millis(500);

/// Shows the sandboxes on the terminal that standard input and output are, until the person has enough; the number of the signal that ended it, where one did.
///
/// # Errors
/// The terminal cannot be used.
pub fn live(service: &Path) -> io::Result<Option<i32>> {
    let mut signals = Signals::block()?;
    let mut source = Source::new(service);
    let mut model = Model::default();
    let mut screen = Screen::enter()?;
    loop {
        source.poll().into_iter().for_each(|message| model.take(message, SystemTime::now()));
        model.forget_ended(SystemTime::now());
        screen.draw(|buffer| view::draw(&mut model, SystemTime::now(), buffer))?;
        let keys = match keys::wait(io::stdin().as_fd(), &signals, PERIOD)? {
            Came::Keys(keys) => keys,
            Came::HangUp => return Ok(Some(libc::SIGHUP)),
        };
        for key in keys {
            match pressed(key, &mut model) {
                Wish::Stay => {}
                Wish::Quit => return Ok(None),
                Wish::Suspend => screen.suspend()?,
            }
        }
        match signals.next()? {
            Some(libc::SIGTSTP) => screen.suspend()?,
            Some(signal) => return Ok(Some(signal)),
            None => {}
        }
    }
}

/// Writes one table.
///
/// # Errors
/// It cannot be written.
pub fn once(service: &Path, out: &mut dyn Write) -> io::Result<()> {
    let mut source = Source::new(service);
    let mut model = Model::default();
    let start = Instant::now();
    while start.elapsed() < LISTEN {
        source.poll().into_iter().for_each(|message| model.take(message, SystemTime::now()));
        std::thread::sleep(Duration::from_millis(20));
    }
    out.write_all(plain::table(&model, SystemTime::now()).as_bytes())
}

/// What the person wants of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Stay,
    Quit,
    Suspend,
}

fn pressed(key: Key, model: &mut Model) -> Wish {
    match key {
        Key::Letter('q') | Key::Control('c') => return Wish::Quit,
        Key::Control('z') => return Wish::Suspend,
        Key::Up | Key::Letter('k') => model.up(1),
        Key::Down | Key::Letter('j') => model.down(1),
        Key::PageUp => model.up(10),
        Key::PageDown | Key::Letter(' ') => model.down(10),
        Key::Enter => model.toggle_details(),
        Key::Escape | Key::Left | Key::Backspace => model.close_details(),
        Key::Letter('s') => model.sort_by(model.sort().next()),
        Key::Letter(letter) => Sort::of_key(letter).into_iter().for_each(|sort| model.sort_by(sort)),
        Key::Control(_) => {}
    }
    Wish::Stay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_quit_suspend_and_sort() {
        let mut model = Model::default();
        for (key, wish) in [
            (Key::Letter('q'), Wish::Quit),
            (Key::Control('c'), Wish::Quit),
            (Key::Letter('c'), Wish::Stay),
            (Key::Control('z'), Wish::Suspend),
            (Key::Letter('m'), Wish::Stay),
        ] {
            assert_eq!(pressed(key, &mut model), wish, "{key:?}");
        }
        assert_eq!(model.sort(), Sort::Memory);
    }
}

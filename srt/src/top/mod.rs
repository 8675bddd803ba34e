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

mod message;
mod model;
mod plain;
mod screen;
mod source;
mod view;

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use model::{Model, Sort};
use screen::{Screen, Signals};
use source::Source;

/// How often the streams are read and the screen is drawn.
const PERIOD: Duration = Duration::from_millis(250);

/// How long `--once` listens: runs answer at once, one that is very busy may not.
const LISTEN: Duration = Duration::from_millis(500);

/// Shows the sandboxes until the person has enough; the number of the signal that ended it, where one did.
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
        match wait(&mut model)? {
            Wish::Stay => {}
            Wish::Quit => return Ok(None),
            Wish::Suspend => screen.suspend()?,
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

/// Waits for keys until it is time to draw again, or until one came.
fn wait(model: &mut Model) -> io::Result<Wish> {
    if !ready(PERIOD)? {
        return Ok(Wish::Stay);
    }
    loop {
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            let wish = pressed(key, model);
            if wish != Wish::Stay {
                return Ok(wish);
            }
        }
        if !ready(Duration::ZERO)? {
            return Ok(Wish::Stay);
        }
    }
}

/// A signal that interrupts the wait is looked at like any other, afterwards.
fn ready(limit: Duration) -> io::Result<bool> {
    match event::poll(limit) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        ready => ready,
    }
}

fn pressed(key: KeyEvent, model: &mut Model) -> Wish {
    match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
        (KeyCode::Char('c'), true) => return Wish::Quit,
        (KeyCode::Char('z'), true) => return Wish::Suspend,
        (_, true) => {}
        (KeyCode::Char('q'), _) => return Wish::Quit,
        (KeyCode::Up | KeyCode::Char('k'), _) => model.up(1),
        (KeyCode::Down | KeyCode::Char('j'), _) => model.down(1),
        (KeyCode::PageUp, _) => model.up(10),
        (KeyCode::PageDown | KeyCode::Char(' '), _) => model.down(10),
        (KeyCode::Enter, _) => model.toggle_details(),
        (KeyCode::Esc | KeyCode::Left | KeyCode::Backspace, _) => model.close_details(),
        (KeyCode::Char('s'), _) => model.sort_by(model.sort().next()),
        (KeyCode::Char(letter), _) => Sort::of_key(letter).into_iter().for_each(|sort| model.sort_by(sort)),
        _ => {}
    }
    Wish::Stay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_quit_suspend_and_sort() {
        let mut model = Model::default();
        let key = |code, modifiers| KeyEvent::new(code, modifiers);
        for (code, modifiers, wish) in [
            (KeyCode::Char('q'), KeyModifiers::NONE, Wish::Quit),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Wish::Quit),
            (KeyCode::Char('c'), KeyModifiers::NONE, Wish::Stay),
            (KeyCode::Char('z'), KeyModifiers::CONTROL, Wish::Suspend),
        ] {
            assert_eq!(pressed(key(code, modifiers), &mut model), wish, "{code:?}");
        }
        assert_eq!(pressed(key(KeyCode::Char('m'), KeyModifiers::NONE), &mut model), Wish::Stay);
        assert_eq!(model.sort(), Sort::Memory);
    }
}

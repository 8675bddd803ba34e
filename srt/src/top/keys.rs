//! Keys, from the bytes that a terminal in raw mode gives.
//!
//! Read here and not by crossterm, whose reader never comes back from a terminal that has hung up. The window's size is asked for at each picture, so nothing else
//! is needed of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    /// With Ctrl held.
    Control(char),
    Enter,
    Escape,
    Up,
    Down,
    Left,
    PageUp,
    PageDown,
    Backspace,
}

/// What came while waiting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Keys; none where it was something else, or nothing.
    Keys(Vec<Key>),
    /// The terminal is gone.
    HangUp,
}

/// Waits for keys, for `other` to be readable, or until the time is over.
pub(super) fn wait(terminal: BorrowedFd<'_>, other: impl AsFd, limit: Duration) -> io::Result<Came> {
    let mut waiting = [PollFd::new(&terminal, PollFlags::IN), PollFd::new(&other, PollFlags::IN)];
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    match rustix::event::poll(&mut waiting, Some(&limit)) {
        Err(Errno::INTR) => return Ok(Came::Keys(Vec::new())),
        polled => polled?,
    };
    let found = waiting[0].revents();
    if found.is_empty() {
        return Ok(Came::Keys(Vec::new()));
    }
    let mut bytes = [0; 256];
    match rustix::io::read(terminal, &mut bytes) {
        // A terminal that hung up is at its end, or an error.
        Ok(0) | Err(Errno::IO) => Ok(Came::HangUp),
        Ok(count) => Ok(Came::Keys(parse(&bytes[..count]))),
        Err(Errno::INTR | Errno::AGAIN) => Ok(Came::Keys(Vec::new())),
        Err(errno) => Err(errno.into()),
    }
}

/// The keys of one read. A sequence comes in one piece, so an escape at the end is the key itself. What is not known is passed over.
fn parse(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let (key, after) = match first {
            0x1b => sequence(rest),
            b'\r' | b'\n' => (Some(Key::Enter), rest),
            0x7f | 0x08 => (Some(Key::Backspace), rest),
            0x01..=0x1a => (Some(Key::Control(char::from(first + 0x60))), rest),
            b' '..=b'~' => (Some(Key::Letter(char::from(*first))), rest),
            _ => (None, rest),
        };
        keys.extend(key);
        bytes = after;
    }
    keys
}

/// What follows an escape: `[` or `O`, parameters, and a final character (ECMA-48); or nothing that belongs to it.
fn sequence(bytes: &[u8]) -> (Option<Key>, &[u8]) {
    let Some((b'[' | b'O', rest)) = bytes.split_first() else { return (Some(Key::Escape), bytes) };
    let Some(end) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else { return (None, &[]) };
    let key = match (&rest[..end], rest[end]) {
        (_, b'A') => Some(Key::Up),
        (_, b'B') => Some(Key::Down),
        (_, b'D') => Some(Key::Left),
        (b"5", b'~') => Some(Key::PageUp),
        (b"6", b'~') => Some(Key::PageDown),
        _ => None,
    };
    (key, &rest[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_keys_and_what_is_not_known_is_passed_over() {
        for (bytes, keys) in [
            (&b"q"[..], vec![Key::Letter('q')]),
            (b"\x03\x1a", vec![Key::Control('c'), Key::Control('z')]),
            (b"\x1b[A\x1bOB\x1b[D", vec![Key::Up, Key::Down, Key::Left]),
            (b"\x1b[5~\x1b[6~j", vec![Key::PageUp, Key::PageDown, Key::Letter('j')]),
            (b"\x1b", vec![Key::Escape]),
            (b"\r\x7f", vec![Key::Enter, Key::Backspace]),
            (b"\x1b[1;5C\x1b[200~x\xff\xc3\xbc", vec![Key::Letter('x')]),
            (b"\x1b[12", vec![]),
        ] {
            assert_eq!(parse(bytes), keys, "{bytes:?}");
        }
    }

    #[test]
    fn a_terminal_that_hung_up_is_noticed() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let (never, _kept) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writer, b"j").unwrap();
        let come = || wait(reader.as_fd(), &never, Duration::from_millis(1)).unwrap();
        assert_eq!(come(), Came::Keys(vec![Key::Letter('j')]));
        assert_eq!(come(), Came::Keys(Vec::new()));
        drop(writer);
        assert_eq!(come(), Came::HangUp);
    }
}

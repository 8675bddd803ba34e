//! Reads one settings file, whatever it is, without hanging and without filling memory.
//!
//! The path may name anything: a directory, a FIFO that nobody writes to, a device, 50 MB. A regular file is read; of the rest only a
//! pipe that was handed over as a descriptor (`/dev/fd/N`, as `<(command)` in a shell does).

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Largest settings file, in bytes.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// A pipe that stays silent for so long is given up, in seconds.
const PATIENCE: i64 = 10;

/// The text of a file, without a byte order mark. The error is the cause in words; [`ErrorKind::NotFound`] is told apart.
pub(super) fn read(path: &Path) -> Result<String, Unread> {
    // O_NONBLOCK: to open a FIFO would otherwise wait for a writer. O_NOCTTY: a terminal must not become ours.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(Unread::from)?;
    let metadata = file.metadata().map_err(Unread::from)?;
    check_kind(path, &metadata)?;
    text(read_bounded(file)?)
}

/// Why a file gave no text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// There is none.
    Missing,
    /// Any other cause, in words.
    Because(String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Unread::Missing,
            ErrorKind::PermissionDenied => because("permission denied"),
            _ => Unread::Because(in_words(&error)),
        }
    }
}

fn because(cause: &str) -> Unread {
    Unread::Because(cause.to_owned())
}

/// An error without the number that the standard library adds.
fn in_words(error: &io::Error) -> String {
    let words = error.to_string();
    words.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// The size of a regular file is known beforehand; a pipe has none, and [`read_bounded`] stops it.
fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), Unread> {
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(because("it is a directory"));
    }
    if kind.is_file() && metadata.len() > MAX_BYTES {
        return Err(too_large());
    }
    if kind.is_file() || (kind.is_fifo() && is_descriptor(path)) {
        return Ok(());
    }
    Err(because("it is neither a regular file nor a pipe on a descriptor (/dev/fd/N)"))
}

fn too_large() -> Unread {
    Unread::Because(format!("it is larger than the limit of {} KiB", MAX_BYTES / 1024))
}

fn is_descriptor(path: &Path) -> bool {
    ["/dev/fd", "/proc/self/fd"].iter().any(|directory| path.parent() == Some(Path::new(directory))) || path == Path::new("/dev/stdin")
}

/// Reads to the end, but never more than the limit and one byte: a file may grow after its size was looked at.
fn read_bounded(file: File) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    let mut input = (&file).take(MAX_BYTES + 1);
    loop {
        match input.read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 > MAX_BYTES => return Err(too_large()),
            Ok(_) => return Ok(bytes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait(&file)?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until a pipe has more to say.
fn wait(file: &File) -> Result<(), Unread> {
    let patience = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
    let ready = rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&patience)));
    match ready.map_err(|errno| Unread::from(io::Error::from(errno)))? {
        0 => Err(Unread::Because(format!("nothing came through the pipe for {PATIENCE} seconds"))),
        _ => Ok(()),
    }
}

fn text(bytes: Vec<u8>) -> Result<String, Unread> {
    let text = String::from_utf8(bytes)
        .map_err(|error| Unread::Because(format!("it is not UTF-8 (byte {} is wrong)", error.utf8_error().valid_up_to() + 1)))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::settings::scratch::Scratch;

    fn cause(path: &Path) -> String {
        match read(path) {
            Err(Unread::Because(cause)) => cause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_content() {
        let scratch = Scratch::new();
        assert_eq!(read(&scratch.file("a", b"\xef\xbb\xbf{}")), Ok("{}".into()));
        assert_eq!(read(&scratch.file("b", b"")), Ok(String::new()));
    }

    #[test]
    fn what_is_missing_is_told_apart() {
        let scratch = Scratch::new();
        assert_eq!(read(&scratch.path().join("none")), Err(Unread::Missing));
    }

    #[test]
    fn a_file_that_is_no_text_is_refused() {
        let scratch = Scratch::new();
        assert_eq!(cause(&scratch.file("a", b"{}\xff")), "it is not UTF-8 (byte 3 is wrong)");
    }

    #[test]
    fn the_limit_is_said_and_holds_to_the_byte() {
        let scratch = Scratch::new();
        let largest = vec![b' '; MAX_BYTES as usize];
        assert!(read(&scratch.file("a", &largest)).is_ok());
        assert_eq!(cause(&scratch.file("b", [&largest[..], b" "].concat())), "it is larger than the limit of 1024 KiB");
    }

    #[test]
    fn a_huge_file_is_not_read() {
        let scratch = Scratch::new();
        let path = scratch.file("sparse", b"");
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(cause(&path), "it is larger than the limit of 1024 KiB");
    }

    #[test]
    fn only_files_are_read() {
        let scratch = Scratch::new();
        assert_eq!(cause(scratch.path()), "it is a directory");
        assert!(cause(Path::new("/dev/zero")).starts_with("it is neither"));
        let fifo = scratch.fifo("fifo");
        assert!(cause(&fifo).starts_with("it is neither"), "and it did not hang");
    }

    #[test]
    fn a_pipe_on_a_descriptor_is_read_to_its_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let slow = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            writer.write_all(b"{}").unwrap();
        });
        assert_eq!(read(Path::new(&path)), Ok("{}".into()));
        slow.join().unwrap();
    }

    #[test]
    fn an_endless_pipe_is_refused() {
        let (reader, mut writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let endless = std::thread::spawn(move || while writer.write_all(&[b' '; 4096]).is_ok() {});
        assert_eq!(cause(Path::new(&path)), "it is larger than the limit of 1024 KiB");
        drop(reader);
        endless.join().unwrap();
    }
}

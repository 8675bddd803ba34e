//! `/dev/tty`: the *caller's* controlling terminal.
//!
//! Opened here, the device would be the terminal of PID 1. Processes of the session that srt was started in share that one; in every session made inside, a terminal can only be
//! one of the sandbox's own pseudo-terminals, and proc_pid_stat(5) says which.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::caller::Caller;

/// Major numbers of pseudo-terminals (devices.txt); one in practice.
const PSEUDO_TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;

/// Opens it with the caller's flags; it never becomes ours.
///
/// # Errors
/// `ENXIO`: the caller has none.
pub(super) fn open(caller: &Caller<'_>, flags: i32) -> Result<OwnedFd, Errno> {
    let (session, terminal) = session(caller.entry()?)?;
    let flags = OFlags::from_bits_retain((flags | libc::O_NOCTTY | libc::O_CLOEXEC) as u32) - OFlags::CREATE - OFlags::EXCL - OFlags::TRUNC;
    // A session whose leader is outside has no number here.
    let path = match (session, terminal) {
        (_, 0) => return Err(Errno::NXIO),
        (0, _) => "/dev/tty".to_owned(),
        (_, device) if PSEUDO_TERMINALS.contains(&major(device)) => format!("/dev/pts/{}", minor(device)),
        _ => return Err(Errno::NXIO),
    };
    rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty())
}

/// Is this the device that stands for whatever terminal the opener has (5:0)?
pub(super) fn is_tty(object: &OwnedFd) -> bool {
    rustix::fs::fstat(object).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) == (5, 0)
    })
}

/// Session and terminal of a process: fields 6 and 7 of its stat. The name in field 2 may hold anything, parentheses too, so what follows is counted from the last one.
fn session(process: i32) -> Result<(i32, u32), Errno> {
    let text = std::fs::read(format!("/proc/{process}/stat")).map_err(|_| Errno::SRCH)?;
    let name_end = text.iter().rposition(|byte| *byte == b')').ok_or(Errno::SRCH)?;
    let rest = String::from_utf8_lossy(&text[name_end + 1..]).into_owned();
    let mut fields = rest.split_ascii_whitespace().skip(3);
    let mut field = || fields.next().and_then(|field| field.parse::<i32>().ok()).ok_or(Errno::SRCH);
    Ok((field()?, field()? as u32))
}

/// The kernel's encoding: 12 bits of major, and a minor in two parts.
fn major(device: u32) -> u32 {
    (device >> 8) & 0xfff
}

fn minor(device: u32) -> u32 {
    (device & 0xff) | ((device >> 12) & 0xf_ff00)
}

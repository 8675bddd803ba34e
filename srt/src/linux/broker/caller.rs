//! The thread that made a call: its memory, descriptors and directories.
//!
//! The *thread* counts, not the process: threads may have tables of descriptors and working directories of their own. Everything is copied once. A thread may end at
//! any moment and its number be given to another, so after copying, and before acting, [`Caller::check`] asks whether the call still waits: while it does, the number
//! is its own.

use std::cell::OnceCell;
use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};

use super::super::notify::{Listener, Notification};
use super::super::sys::{read_memory, write_memory};
use super::authority;
use super::foreign_proc;
use super::masks::Owner;

/// Longest path, its NUL included (limits.h).
const PATH_MAX: usize = 4096;
const PAGE: usize = 4096;
/// `PIDFD_THREAD`, Linux 6.9.
const PIDFD_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(OFlags::EXCL.bits());

/// What proc_pid_status(5) says of a thread.
#[derive(Clone, Copy, Debug)]
struct Status {
    /// The thread group, as procfs numbers it.
    group: i32,
    /// The same, as this pid namespace does.
    own_group: i32,
    umask: u32,
    alone: bool,
}

/// The thread behind a notification.
pub(super) struct Caller<'a> {
    pub(super) listener: &'a Listener,
    pub(super) notification: Notification,
    /// procfs is the host's, and numbers processes otherwise than this pid namespace (`enableWeakerNestedSandbox`).
    foreign_proc: bool,
    entry: OnceCell<i32>,
    status: OnceCell<Status>,
    pidfd: OnceCell<OwnedFd>,
}

impl<'a> Caller<'a> {
    pub(super) fn new(listener: &'a Listener, notification: Notification, foreign_proc: bool) -> Self {
        Caller { listener, notification, foreign_proc, entry: OnceCell::new(), status: OnceCell::new(), pidfd: OnceCell::new() }
    }

    /// Was everything read so far the caller's? To be asked after the last reading and before the first effect.
    pub(super) fn check(&self) -> Result<(), Errno> {
        if self.listener.is_waiting(self.notification.id) { Ok(()) } else { Err(Errno::SRCH) }
    }

    /// A path or another text, without its NUL.
    ///
    /// # Errors
    /// `EFAULT`, `ENAMETOOLONG`, as the kernel's own copying.
    pub(super) fn text(&self, address: u64) -> Result<CString, Errno> {
        let mut text = Vec::new();
        let mut address = address;
        while text.len() < PATH_MAX {
            // Not across a page: what lies behind may not be mapped, and need not be.
            let piece = (PAGE - address as usize % PAGE).min(PATH_MAX - text.len());
            let bytes = self.bytes(address, piece)?;
            if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&bytes[..end]);
                return CString::new(text).map_err(|_| Errno::INVAL);
            }
            text.extend_from_slice(&bytes);
            address = address.checked_add(piece as u64).ok_or(Errno::FAULT)?;
        }
        Err(Errno::NAMETOOLONG)
    }

    /// Exactly so many bytes.
    ///
    /// # Errors
    /// `EFAULT` where not all of them are there.
    pub(super) fn bytes(&self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length];
        let mut done = 0;
        while done < length {
            let at = address.checked_add(done as u64).ok_or(Errno::FAULT)?;
            match authority::where_needed(|| read_memory(self.notification.thread, at, &mut bytes[done..]))? {
                0 => return Err(Errno::FAULT),
                read => done += read,
            }
        }
        Ok(bytes)
    }

    /// A fixed number of bytes.
    pub(super) fn array<const N: usize>(&self, address: u64) -> Result<[u8; N], Errno> {
        self.bytes(address, N)?.try_into().map_err(|_| Errno::FAULT)
    }

    /// Writes a result into the caller's memory.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let written = authority::where_needed(|| write_memory(self.notification.thread, address, bytes))?;
        if written == bytes.len() { Ok(()) } else { Err(Errno::FAULT) }
    }

    /// The working directory.
    pub(super) fn working_directory(&self) -> Result<OwnedFd, Errno> {
        let link = format!("/proc/{}/cwd", self.entry()?);
        authority::where_needed(|| {
            rustix::fs::openat(CWD, link.as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        })
    }

    /// A copy of one of its descriptors.
    ///
    /// # Errors
    /// `EBADF`, as the kernel's own.
    pub(super) fn descriptor(&self, number: i32) -> Result<OwnedFd, Errno> {
        if number < 0 {
            return Err(Errno::BADF);
        }
        let pidfd = self.pidfd()?;
        authority::where_needed(|| rustix::process::pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty()))
    }

    /// The mask for modes of new files.
    pub(super) fn umask(&self) -> Result<u32, Errno> {
        Ok(self.status()?.umask)
    }

    /// Whose mask it is.
    pub(super) fn owner(&self) -> Result<Owner, Errno> {
        let Status { group, alone, .. } = self.status()?;
        Ok(Owner { group, alone })
    }

    /// The thread group, by the number of its entry in `/proc`.
    pub(super) fn group(&self) -> Result<i32, Errno> {
        Ok(self.status()?.group)
    }

    /// The thread group, by the number that calls take.
    pub(super) fn own_group(&self) -> Result<i32, Errno> {
        Ok(self.status()?.own_group)
    }

    /// The number of the thread's entry in `/proc`.
    pub(super) fn entry(&self) -> Result<i32, Errno> {
        if !self.foreign_proc {
            return Ok(self.notification.thread);
        }
        if let Some(entry) = self.entry.get() {
            return Ok(*entry);
        }
        let entry = foreign_proc::entry(self.notification.thread, self.pidfd()?)?;
        Ok(*self.entry.get_or_init(|| entry))
    }

    /// The thread, as far as the kernel can name one.
    pub(super) fn pidfd(&self) -> Result<BorrowedFd<'_>, Errno> {
        if self.pidfd.get().is_none() {
            let _ = self.pidfd.set(self.open_pidfd()?);
        }
        self.pidfd.get().map(OwnedFd::as_fd).ok_or(Errno::SRCH)
    }

    fn open_pidfd(&self) -> Result<OwnedFd, Errno> {
        let thread = Pid::from_raw(self.notification.thread).ok_or(Errno::SRCH)?;
        match rustix::process::pidfd_open(thread, PIDFD_THREAD) {
            Err(Errno::INVAL) => self.group_pidfd(),
            result => result,
        }
    }

    /// Below Linux 6.9 only a thread group has a descriptor, which gives the *leader's* table of descriptors: refused where that is another one.
    fn group_pidfd(&self) -> Result<OwnedFd, Errno> {
        // Through a procfs with other numbers the group cannot be looked up before there is a pidfd.
        let group = if self.foreign_proc { foreign_proc::leader(self.notification.thread).ok_or(Errno::PERM)? } else { self.group()? };
        if group != self.notification.thread && !authority::where_needed(|| same_table(group, self.notification.thread))? {
            return Err(Errno::PERM);
        }
        rustix::process::pidfd_open(Pid::from_raw(group).ok_or(Errno::SRCH)?, PidfdFlags::empty())
    }

    fn status(&self) -> Result<Status, Errno> {
        if let Some(status) = self.status.get() {
            return Ok(*status);
        }
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.entry()?)).map_err(|_| Errno::SRCH)?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let status = Status {
            group: field("Tgid:").and_then(|value| value.parse().ok()).ok_or(Errno::SRCH)?,
            own_group: foreign_proc::innermost(&text, "NStgid:").ok_or(Errno::SRCH)?,
            alone: field("Threads:") == Some("1"),
            umask: field("Umask:").and_then(|value| u32::from_str_radix(value, 8).ok()).ok_or(Errno::SRCH)?,
        };
        Ok(*self.status.get_or_init(|| status))
    }

    /// Has it a signal to take?
    pub(super) fn has_signal(&self) -> bool {
        self.entry().is_ok_and(has_signal)
    }
}

/// Is a signal about to be delivered to a thread, named by its entry in `/proc`? One that is ignored is never pending. A shared one counts only where no other thread would take it. See
/// proc_pid_status(5).
pub(super) fn has_signal(thread: i32) -> bool {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{thread}/status")) else { return false };
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let mask = |name: &str| field(name).and_then(|value| u64::from_str_radix(value, 16).ok()).unwrap_or(0);
    // The kernel gives a shared signal to the first thread, where that would take it.
    let first = field("Threads:") == Some("1") || field("Pid:") == field("Tgid:");
    let pending = mask("SigPnd:") | if first { mask("ShdPnd:") } else { 0 };
    pending & !mask("SigBlk:") != 0
}

/// kcmp(2): do two threads share their table of descriptors?
fn same_table(one: i32, other: i32) -> Result<bool, Errno> {
    const KCMP_FILES: usize = 2;
    // SAFETY: the request takes numbers only.
    let result = unsafe { super::super::sys::raw(libc::SYS_kcmp, [one as usize, other as usize, KCMP_FILES, 0, 0, 0]) };
    Ok(result? == 0)
}

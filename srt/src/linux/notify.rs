//! The ioctl layer of seccomp user notification.
//!
//! A filter that returns `SECCOMP_RET_USER_NOTIF` stops the calling thread and puts its call on a listener; whoever holds the listener answers. What a notification
//! says about registers is a copy and true; what registers point to belongs to the caller, which may change it at any time.
//!
//! See seccomp_unotify(2). Needs Linux 5.19 for `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: a call that was received is no longer interrupted by signals
//! that do not kill, so a storm of them (as Go's runtime makes) does not restart it for ever.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;
use seccompiler::sock_filter;

use super::sys::last_error;

const SET_MODE_FILTER: libc::c_uint = 1;
const FLAG_NEW_LISTENER: libc::c_ulong = 1 << 3;
const FLAG_WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;

// ioctl(2) numbers of linux/seccomp.h: '!' and the size of the argument.
const RECV: libc::Ioctl = 0xc050_2100;
const SEND: libc::Ioctl = 0xc018_2101;
const ID_VALID: libc::Ioctl = 0x4008_2102;
const ADDFD: libc::Ioctl = 0x4018_2103;
const SET_FLAGS: libc::Ioctl = 0x4008_2104;
/// Linux 6.6: whoever waits is woken on the same processor, which both sides would otherwise have to be moved to.
const SYNC_WAKE_UP: u64 = 1;

// The numbers above hold the sizes of these.
const _: () = assert!(
    size_of::<libc::seccomp_notif>() == 0x50
        && size_of::<libc::seccomp_notif_resp>() == 0x18
        && size_of::<libc::seccomp_notif_addfd>() == 0x18
);

/// A system call that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notification {
    /// Names this call among all of the listener's.
    pub(super) id: u64,
    /// The calling *thread*, in our pid namespace.
    pub(super) thread: i32,
    /// System-call number.
    pub(super) number: libc::c_long,
    /// Its registers.
    pub(super) arguments: [u64; 6],
}

/// The receiving end.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

/// Puts the calling thread under a filter, and returns the listener's descriptor number. `no_new_privs` must be set.
///
/// # Errors
/// `EBUSY`: the thread has a filter with a listener already. `EINVAL`: the kernel is older than 5.19. Else as seccomp(2).
pub(super) fn install(program: &[sock_filter]) -> Result<i32, Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the program is valid for the call, which copies it; seccompiler's instruction has the layout of the kernel's.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV, std::ptr::from_ref(&program))
    };
    i32::try_from(result).ok().filter(|descriptor| *descriptor >= 0).ok_or_else(last_error)
}

/// The same without a listener: every refusal is an errno.
///
/// # Errors
/// As seccomp(2).
pub(super) fn install_without_listener(program: &[sock_filter]) -> Result<(), Errno> {
    seccompiler::apply_filter(program).map_err(|_| last_error())
}

/// Does this kernel know listeners that wait killably? Asked without a program: known flags give `EFAULT`, others `EINVAL`.
pub(super) fn is_supported() -> bool {
    // SAFETY: the null program is never read.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV, std::ptr::null::<libc::sock_fprog>())
    };
    result != 0 && last_error() == Errno::FAULT
}

impl Listener {
    /// Anything in the place of a listener, for what never asks one.
    #[cfg(any(test, fuzzing))]
    pub(super) fn stand_in(descriptor: OwnedFd) -> Self {
        Listener(descriptor)
    }

    /// Takes a descriptor that [`install`] made.
    ///
    /// # Safety
    /// The number must name a listener in this process that nothing else owns.
    pub(super) unsafe fn from_number(descriptor: i32) -> Self {
        // SAFETY: the caller's promise.
        let listener = Listener(unsafe { OwnedFd::from_raw_fd(descriptor) });
        // Only faster: older kernels do without.
        // SAFETY: the request takes a number.
        let _ = unsafe { libc::ioctl(listener.0.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
        listener
    }

    /// Waits for the next call.
    ///
    /// # Errors
    /// `ENOENT`: the caller was killed meanwhile, or nobody is left under the filter. `EINTR`.
    pub(super) fn receive(&self) -> Result<Notification, Errno> {
        // SAFETY: all zeros is a valid value, and the one that the kernel demands.
        let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        self.ioctl(RECV, &mut raw)?;
        // `pid` is a thread's: 0 where it is in a namespace that is not below ours, which the filter makes impossible.
        let thread = i32::try_from(raw.pid).map_err(|_| Errno::SRCH)?;
        Ok(Notification { id: raw.id, thread, number: raw.data.nr.into(), arguments: raw.data.args })
    }

    /// Does the call still wait? Then what was read of its thread since was that thread's, and no recycled number's.
    pub(super) fn is_waiting(&self, id: u64) -> bool {
        self.ioctl(ID_VALID, &mut { id }).is_ok()
    }

    /// Ends the call with a result, or an errno. A caller that is gone needs none.
    pub(super) fn answer(&self, id: u64, result: Result<i64, Errno>) {
        let (val, error) = match result {
            Ok(value) => (value, 0),
            Err(errno) => (0, -errno.raw_os_error()),
        };
        let _ = self.ioctl(SEND, &mut libc::seccomp_notif_resp { id, val, error, flags: 0 });
    }

    /// Lets the kernel perform the call as it stands. Only where nothing rests on what the caller may still change.
    pub(super) fn let_go(&self, id: u64) {
        const CONTINUE: u32 = 1;
        let _ = self.ioctl(SEND, &mut libc::seccomp_notif_resp { id, val: 0, error: 0, flags: CONTINUE });
    }

    /// Copies a descriptor into the caller's table; its number there.
    ///
    /// # Errors
    /// `EMFILE` by the caller's own limit; `ENOENT`: it is gone.
    pub(super) fn give(&self, id: u64, descriptor: BorrowedFd<'_>, close_on_exec: bool) -> Result<i64, Errno> {
        let newfd_flags = if close_on_exec { libc::O_CLOEXEC as u32 } else { 0 };
        let mut raw = libc::seccomp_notif_addfd { id, flags: 0, srcfd: descriptor.as_raw_fd() as u32, newfd: 0, newfd_flags };
        self.ioctl(ADDFD, &mut raw).map(i64::from)
    }

    fn ioctl<T>(&self, request: libc::Ioctl, argument: &mut T) -> Result<i32, Errno> {
        loop {
            // SAFETY: each request's argument is a valid structure of the size that its number holds (asserted above).
            let result = unsafe { libc::ioctl(self.0.as_raw_fd(), request, std::ptr::from_mut(argument)) };
            match last_error() {
                _ if result >= 0 => return Ok(result),
                // A signal of the command to PID 1 must not cost an answer.
                Errno::INTR => {}
                error => return Err(error),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

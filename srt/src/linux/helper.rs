//! Work beside `init`, in a process that shares its memory.
//!
//! See clone(2), `CLONE_VM` and `CLONE_FILES`.

use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;

use super::sys::last_error;

/// A process that shares this one's memory and descriptors and works beside it.
///
/// The C library does not know of it, so it must stay away from everything that the library guards by counting threads or keeps per thread: no allocation, and
/// no `errno`. rustix's calls are free of both.
pub(super) struct Helper {
    pid: rustix::process::Pid,
    /// What the helper works with. Freed only after it has ended.
    task: Box<Task>,
    _stack: Vec<u8>,
}

struct Task {
    work: fn(u16) -> Result<OwnedFd, Errno>,
    argument: u16,
    /// 0 while it works; then a descriptor plus one, or a negative errno.
    result: AtomicI32,
}

impl Helper {
    /// Starts `work` in a new process that has its own namespaces to change.
    ///
    /// # Errors
    /// As clone(2).
    ///
    /// # Safety
    /// `work` must do nothing but system calls through rustix: see [`Helper`].
    pub(super) unsafe fn start(work: fn(u16) -> Result<OwnedFd, Errno>, argument: u16) -> Result<Self, Errno> {
        const STACK: usize = 64 * 1024;
        let mut stack = vec![0u8; STACK];
        let mut task = Box::new(Task { work, argument, result: AtomicI32::new(0) });
        let top = stack.as_mut_ptr_range().end;
        let top = top.wrapping_sub(top as usize % 16);
        let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::SIGCHLD;
        // SAFETY: the stack grows down from its aligned end; it and the task live in `Helper` until the child was waited for.
        let pid = unsafe { libc::clone(run_task, top.cast(), flags, std::ptr::from_mut::<Task>(&mut task).cast()) };
        let pid = if pid < 0 { return Err(last_error()) } else { rustix::process::Pid::from_raw(pid).ok_or(Errno::CHILD)? };
        Ok(Helper { pid, task, _stack: stack })
    }

    /// Waits for its end and takes the descriptor that it made.
    ///
    /// # Errors
    /// What its work said.
    pub(super) fn join(mut self) -> Result<OwnedFd, Errno> {
        self.wait();
        match self.task.result.swap(0, Ordering::Acquire) {
            // SAFETY: the helper made the descriptor in the table that both share, and gave it away.
            answer if answer > 0 => Ok(unsafe { OwnedFd::from_raw_fd(answer - 1) }),
            0 => Err(Errno::CHILD),
            errno => Err(Errno::from_raw_os_error(-errno)),
        }
    }

    fn wait(&mut self) {
        while let Err(Errno::INTR) = rustix::process::waitpid(Some(self.pid), rustix::process::WaitOptions::empty()) {}
    }
}

impl Drop for Helper {
    /// The memory must not go before the process that uses it. After `join` there is no such child any more, and this returns at once.
    fn drop(&mut self) {
        self.wait();
    }
}

extern "C" fn run_task(task: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `start` passes a Task that outlives this process; only `result` is written, atomically.
    let task = unsafe { &*task.cast::<Task>() };
    let answer = match (task.work)(task.argument) {
        Ok(descriptor) => descriptor.into_raw_fd() + 1,
        Err(errno) => -errno.raw_os_error(),
    };
    task.result.store(answer, Ordering::Release);
    0
}

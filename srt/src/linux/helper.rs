//! Work beside `init`, in a process that shares its memory.
//!
//! See clone(2), `CLONE_VM` and `CLONE_FILES`.

use std::cell::UnsafeCell;
use std::ptr::NonNull;

use rustix::io::Errno;

use super::sys::last_error;

/// A process that shares this one's memory and descriptors and works beside it.
///
/// The C library does not know of it, so it must stay away from everything that the library guards by counting threads or keeps per thread: no allocation, and
/// no `errno`. rustix's calls are free of both.
pub(super) struct Helper<J> {
    pid: rustix::process::Pid,
    /// What the helper works with. Freed only after it has ended.
    task: NonNull<Task<J>>,
    _stack: Vec<u8>,
}

struct Task<J> {
    work: fn(&mut J) -> Result<(), Errno>,
    /// The helper's while it runs, ours after it was waited for.
    job: UnsafeCell<J>,
    result: UnsafeCell<Result<(), Errno>>,
}

impl<J> Helper<J> {
    /// Starts `work` in a new process that has its own namespaces to change.
    ///
    /// # Errors
    /// As clone(2).
    ///
    /// # Safety
    /// `work` must do nothing but system calls through rustix, and write to what it was given: see [`Helper`].
    pub(super) unsafe fn start(work: fn(&mut J) -> Result<(), Errno>, job: J) -> Result<Self, Errno> {
        const STACK: usize = 64 * 1024;
        let mut stack = vec![0u8; STACK];
        // Until the work has said otherwise, it did not end.
        let task = Task { work, job: UnsafeCell::new(job), result: UnsafeCell::new(Err(Errno::CHILD)) };
        let task = NonNull::from(Box::leak(Box::new(task)));
        let top = stack.as_mut_ptr_range().end;
        let top = top.wrapping_sub(top as usize % 16);
        let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::SIGCHLD;
        // SAFETY: the stack grows down from its aligned end; it and the task live in `Helper` until the child was waited for.
        let pid = unsafe { libc::clone(run_task::<J>, top.cast(), flags, task.as_ptr().cast()) };
        match rustix::process::Pid::from_raw(pid).filter(|_| pid > 0) {
            Some(pid) => Ok(Helper { pid, task, _stack: stack }),
            None => {
                let error = last_error();
                // SAFETY: no child exists, so nobody else has the pointer.
                drop(unsafe { Box::from_raw(task.as_ptr()) });
                Err(error)
            }
        }
    }

    /// Waits for its end and takes what it was given, as it left it.
    ///
    /// # Errors
    /// What its work said.
    pub(super) fn join(mut self) -> Result<J, Errno>
    where
        J: Default,
    {
        self.wait();
        // SAFETY: the helper has ended (waitpid(2) orders its writes before this), and nobody else has the pointer.
        let task = unsafe { self.task.as_mut() };
        std::mem::replace(task.result.get_mut(), Err(Errno::CHILD)).map(|()| std::mem::take(task.job.get_mut()))
    }

    fn wait(&mut self) {
        while let Err(Errno::INTR) = rustix::process::waitpid(Some(self.pid), rustix::process::WaitOptions::empty()) {}
    }
}

impl<J> Drop for Helper<J> {
    /// The memory must not go before the process that uses it. After `join` there is no such child any more, and waiting returns at once.
    fn drop(&mut self) {
        self.wait();
        // SAFETY: made by `start`, freed here only, and the helper has ended.
        drop(unsafe { Box::from_raw(self.task.as_ptr()) });
    }
}

extern "C" fn run_task<J>(task: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `start` passes a Task that outlives this process; `init` looks into its cells only after this process has ended.
    let task = unsafe { &*task.cast::<Task<J>>() };
    // SAFETY: as above: no other reference to the job exists now.
    let answer = (task.work)(unsafe { &mut *task.job.get() });
    // SAFETY: likewise.
    unsafe { *task.result.get() = answer };
    0
}

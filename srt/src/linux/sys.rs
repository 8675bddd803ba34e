//! System calls that no crate wraps.
//!
//! Each function is the call and nothing else: arguments are typed, the result is a `Result`.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Which side of a fork this is.
pub(super) enum Forked {
    /// In the new process.
    Child,
    /// In the old one: a descriptor for the child (pidfd_open(2)).
    Parent(OwnedFd),
}

/// clone3(2) without a new stack: like fork(2), with namespace `flags`. The child dies when the calling thread does not matter: see `set_parent_death_signal`.
///
/// # Errors
/// As clone3(2), Linux 5.3. `ENOSYS` where a filter hides it.
///
/// # Safety
/// The process must have one thread: the child may then go on as after fork(2), allocation included.
pub(super) unsafe fn fork_into(flags: u64) -> Result<Forked, Errno> {
    let mut pidfd: RawFd = -1;
    // struct clone_args, version 0 (64 bytes): flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
    let mut arguments: [u64; 8] = [0; 8];
    arguments[0] = flags | libc::CLONE_PIDFD as u64;
    arguments[1] = std::ptr::from_mut(&mut pidfd) as u64;
    arguments[4] = libc::SIGCHLD as u64;
    // SAFETY: `arguments` is a valid clone_args and outlives the call; without CLONE_VM the child has its own copy of this stack. The caller guarantees one thread.
    let result = unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), std::mem::size_of_val(&arguments)) };
    match result {
        0 => Ok(Forked::Child),
        // SAFETY: the kernel has just made this descriptor for us.
        pid if pid > 0 => Ok(Forked::Parent(unsafe { OwnedFd::from_raw_fd(pidfd) })),
        _ => Err(last_error()),
    }
}

/// Attributes for `mount_setattr`; the bits are those of mount_setattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MountAttributes {
    /// Bits to set: `MOUNT_ATTR_*`.
    pub(super) set: u64,
    /// Propagation to set (`MS_PRIVATE`), or 0.
    pub(super) propagation: u64,
}

/// mount_setattr(2), Linux 5.12, on the mount that `mount` is the root of and everything below it.
///
/// # Errors
/// As mount_setattr(2).
pub(super) fn mount_setattr(mount: BorrowedFd<'_>, attributes: MountAttributes) -> Result<(), Errno> {
    let arguments = libc::mount_attr { attr_set: attributes.set, attr_clr: 0, propagation: attributes.propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the path is a valid empty C string, and `arguments` is a valid mount_attr of the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(&arguments),
            std::mem::size_of_val(&arguments),
        )
    };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// Is mount_setattr(2) there? Asked with a descriptor that cannot exist.
pub(super) fn has_mount_setattr() -> bool {
    // SAFETY: all pointers are null or valid for the size given; the call fails before it would use them.
    let result =
        unsafe { libc::syscall(libc::SYS_mount_setattr, -1, c"".as_ptr(), libc::AT_EMPTY_PATH, std::ptr::null::<libc::mount_attr>(), 0) };
    result != 0 && last_error() != Errno::NOSYS
}

/// close_range(2), Linux 5.9: every descriptor from `first` to `last`, both included, that is open.
///
/// # Errors
/// As close_range(2).
pub(super) fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: closing descriptors is memory-safe; callers pass ranges in which nothing of ours is used any more.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// dup2(2): makes the number `descriptor` mean what `file` means. It stays open over execve(2).
///
/// # Errors
/// As dup2(2).
pub(super) fn replace(file: &OwnedFd, descriptor: RawFd) -> Result<(), Errno> {
    // SAFETY: whoever uses the number afterwards wants the new meaning; nothing of ours owns it.
    let result = unsafe { libc::dup2(file.as_raw_fd(), descriptor) };
    if result >= 0 { Ok(()) } else { Err(last_error()) }
}

/// `LANDLOCK_CREATE_RULESET_VERSION`: the ABI of the running kernel, 0 where Landlock is missing or off.
pub(super) fn landlock_abi() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: a null attribute of size 0 is what this flag asks for (landlock_create_ruleset(2)).
    let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, VERSION) };
    u32::try_from(result).unwrap_or(0)
}

/// Brings an interface of this network namespace up. Touches no thread-local storage: see [`Helper`].
///
/// # Errors
/// As netdevice(7).
pub(super) fn interface_up(name: &CStr) -> Result<(), Errno> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes().iter().take(libc::IFNAMSIZ - 1)) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    const SET_FLAGS: rustix::ioctl::Opcode = libc::SIOCSIFFLAGS as rustix::ioctl::Opcode;
    // SAFETY: the request is a valid ifreq with a terminated name, as SIOCSIFFLAGS wants.
    unsafe { rustix::ioctl::ioctl(&socket, rustix::ioctl::Updater::<SET_FLAGS, libc::ifreq>::new(&mut request)) }
}

/// The network namespace that a socket lives in (`SIOCGSKNS`, Linux 4.9).
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` over it.
pub(super) fn namespace_of(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const SIOCGSKNS: libc::Ioctl = 0x894c;
    // SAFETY: the call takes no argument and returns a new descriptor.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS) };
    // SAFETY: the kernel has just made this descriptor for us.
    if result >= 0 { Ok(unsafe { OwnedFd::from_raw_fd(result) }) } else { Err(last_error()) }
}

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
        Ok(descriptor) => std::os::fd::IntoRawFd::into_raw_fd(descriptor) + 1,
        Err(errno) => -errno.raw_os_error(),
    };
    task.result.store(answer, Ordering::Release);
    0
}

/// prctl(2) with integers only.
///
/// # Errors
/// As prctl(2).
pub(super) fn prctl(option: libc::c_int, argument: libc::c_ulong) -> Result<libc::c_int, Errno> {
    // SAFETY: the options used here take integers and touch no memory of ours.
    let result = unsafe { libc::prctl(option, argument, 0, 0, 0) };
    if result >= 0 { Ok(result) } else { Err(last_error()) }
}

/// Lets go of a child that asked to be traced by its parent (`PTRACE_TRACEME`), which would otherwise stand still for ever. False where we are not its tracer.
pub(super) fn detach(pid: rustix::process::Pid) -> bool {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the request takes a process id and a signal number, and touches no memory of ours.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid.as_raw_nonzero().get(), nothing, nothing) == 0 }
}

/// Ends this process without running anything that was registered to run at its end: in a forked child that belongs to the parent.
pub(super) fn exit_now(status: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Starts a program in a new process that borrows this one's memory until it has executed (vfork(2)): nothing is copied, however large this process is.
///
/// `prepare` and the attempts to execute run in the new process. Returns its id and what execve(2) said where no candidate could be executed.
///
/// # Errors
/// As clone(2).
pub(super) fn vfork_exec(
    program: &Program<'_>,
    mut prepare: impl FnMut() -> Result<(), Errno>,
) -> Result<(libc::pid_t, Option<Errno>), Errno> {
    /// Enough for a few system calls, and one page of guard is not needed: nothing here recurses.
    const STACK: usize = 64 * 1024;
    let mut stack = vec![0u8; STACK];
    let mut outcome = None;
    let outcome_pointer = std::ptr::from_mut(&mut outcome);
    let child = Box::new(move || {
        let error = prepare().map_or_else(|error| error, |()| program.execute());
        // SAFETY: the parent waits (CLONE_VFORK) until this process ends or executes, and its variable lives that long; memory is shared (CLONE_VM).
        unsafe { *outcome_pointer = Some(error) };
        exit_now(127)
    });
    let flags = nix::sched::CloneFlags::CLONE_VM | nix::sched::CloneFlags::CLONE_VFORK;
    // SAFETY: the child runs on its own stack, which outlives it because of CLONE_VFORK; it makes system calls only, and leaves by execve or _exit.
    let pid = unsafe { nix::sched::clone(child, &mut stack, flags, Some(libc::SIGCHLD)) }
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
    Ok((pid.as_raw(), outcome))
}

/// What is executed, as null-terminated arrays.
pub(super) struct Program<'a> {
    candidates: &'a [std::ffi::CString],
    arguments: Vec<*const libc::c_char>,
    /// `sh`, the candidate, and the arguments: for a text without `#!`, as execvp(3) does. The second is put in when it is needed.
    script_arguments: std::cell::RefCell<Vec<*const libc::c_char>>,
    environment: Vec<*const libc::c_char>,
}

impl<'a> Program<'a> {
    pub(super) fn new(
        candidates: &'a [std::ffi::CString],
        arguments: &'a [std::ffi::CString],
        environment: &'a [std::ffi::CString],
    ) -> Self {
        let pointers = |texts: &[std::ffi::CString]| texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
        let arguments = pointers(arguments);
        let mut script_arguments = vec![c"/bin/sh".as_ptr(), std::ptr::null()];
        script_arguments.extend(&arguments[1..]);
        Program { candidates, arguments, script_arguments: script_arguments.into(), environment: pointers(environment) }
    }

    /// Tries each candidate; returns only where none could be executed, with the error that execvp(3) would give.
    fn execute(&self) -> Errno {
        let mut result = Errno::NOENT;
        for candidate in self.candidates {
            // SAFETY: all pointers are to terminated strings, and the arrays end with null.
            unsafe { libc::execve(candidate.as_ptr(), self.arguments.as_ptr(), self.environment.as_ptr()) };
            match last_error() {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::NOEXEC => return self.execute_script(candidate),
                // A directory on the way may be hidden: that says nothing about the program.
                // SAFETY: the candidate is a terminated string.
                Errno::ACCESS if unsafe { libc::access(candidate.as_ptr(), libc::F_OK) } == 0 => result = Errno::ACCESS,
                Errno::ACCESS => {}
                error => return error,
            }
        }
        result
    }

    fn execute_script(&self, candidate: &CStr) -> Errno {
        self.script_arguments.borrow_mut()[1] = candidate.as_ptr();
        // SAFETY: as above.
        unsafe { libc::execve(c"/bin/sh".as_ptr(), self.script_arguments.borrow().as_ptr(), self.environment.as_ptr()) };
        last_error()
    }
}

//! System calls that no crate wraps.
//!
//! Each function is the call and nothing else: arguments are typed, the result is a `Result`.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::io::Errno;

pub(super) fn last_error() -> Errno {
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

/// mount_setattr(2), Linux 5.12: sets these `MOUNT_ATTR_*` bits on the mount that `mount` is the root of and everything below it.
///
/// # Errors
/// As mount_setattr(2).
pub(super) fn mount_setattr(mount: BorrowedFd<'_>, set: u64) -> Result<(), Errno> {
    let arguments = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
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

/// Makes a map of one element (bpf(2)), and lets go of it.
///
/// # Errors
/// As bpf(2).
pub(super) fn may_use_bpf() -> Result<(), Errno> {
    const BPF_MAP_CREATE: libc::c_long = 0;
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    // map_type, key_size, value_size, max_entries: where attributes end, the rest is zero.
    let attributes: [u32; 4] = [BPF_MAP_TYPE_ARRAY, 4, 4, 1];
    // SAFETY: the attributes are of the size given, and are only read.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, attributes.as_ptr(), size_of_val(&attributes)) };
    if result < 0 {
        return Err(last_error());
    }
    // SAFETY: the kernel has just made this descriptor (close-on-exec, bpf(2)), and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(result as i32) });
    Ok(())
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

/// close(2) of a number that nothing of ours owns.
///
/// # Errors
/// As close(2).
pub(super) fn close_now(descriptor: RawFd) -> Result<(), Errno> {
    // SAFETY: closing descriptors is memory-safe; callers pass numbers that only a copy of another process's memory speaks of.
    let result = unsafe { libc::close(descriptor) };
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

/// Brings an interface of this network namespace up. Touches no thread-local storage: see `helper`.
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

/// capset(2) of the calling thread, with empty inheritable capabilities. Bit `n` is capability `n`.
///
/// # Errors
/// `EPERM`: an effective capability that is not permitted, or a permitted one that was not.
pub(super) fn set_capabilities(effective: u64, permitted: u64) -> Result<(), Errno> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    // Two struct __user_cap_data_struct: effective, permitted, inheritable; low words first.
    let half = |shift: u32| [(effective >> shift) as u32, (permitted >> shift) as u32, 0];
    let data = [half(0), half(32)];
    // SAFETY: header and data are of the layout and size that version 3 demands.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// process_vm_readv(2) of one piece: how much was read.
///
/// # Errors
/// `EFAULT`: nothing is there. `EPERM`: the process may not be read. `ESRCH`.
pub(super) fn read_memory(thread: i32, address: u64, into: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: into.len() };
    // SAFETY: `local` is a buffer of ours of that length; `remote` is only a number to us.
    let result = unsafe { libc::process_vm_readv(thread, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(result).map_err(|_| last_error())
}

/// process_vm_writev(2) of one piece.
///
/// # Errors
/// As [`read_memory`].
pub(super) fn write_memory(thread: i32, address: u64, from: &[u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: from.len() };
    // SAFETY: `local` is a buffer of ours of that length, which is only read; `remote` is only a number to us.
    let result = unsafe { libc::process_vm_writev(thread, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(result).map_err(|_| last_error())
}

/// A system call whose arguments are numbers and pointers that the caller vouches for.
///
/// # Errors
/// The kernel's.
///
/// # Safety
/// As the system call.
pub(super) unsafe fn raw(number: libc::c_long, arguments: [usize; 6]) -> Result<i64, Errno> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(last_error()) } else { Ok(result) }
}

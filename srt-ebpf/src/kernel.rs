//! The running task, as the kernel's own structures tell it.
//!
//! Each read may fail; then what was asked for is not known, and nothing else happens (bpf-helpers(7), `bpf_probe_read_kernel`).

use core::ptr::read_volatile;

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_kernel};
use srt_ebpf::{Calls, Layout, MOST_CALLS, Shape};

/// Filled in before the program is loaded.
#[unsafe(no_mangle)]
static LAYOUT: Layout = Layout::UNKNOWN;
/// Filled in before the program is loaded.
#[unsafe(no_mangle)]
static CALLS: Calls = Calls([Shape::UNWANTED; MOST_CALLS]);

/// Does this kernel have `bpf_get_current_task_btf` (Linux 5.11)? Filled in before the program is loaded: what is never reached, the verifier does not look at.
#[unsafe(no_mangle)]
static TYPED: u32 = 0;

/// One offset of [`LAYOUT`].
macro_rules! offset {
    ($($field:tt)+) => {
        // SAFETY: a field of a static; volatile, because its value is only known when the program is loaded.
        unsafe { core::ptr::read_volatile(&raw const crate::kernel::layout().$($field)+) }
    };
}
pub(crate) use offset;

#[inline(always)]
pub(crate) fn layout() -> &'static Layout {
    &LAYOUT
}

/// How the call with this number is looked at.
#[inline(always)]
pub(crate) fn shape(call: u64) -> Option<Shape> {
    if call >= MOST_CALLS as u64 {
        return None;
    }
    // SAFETY: the number was just compared with the length.
    let shape = unsafe { read_volatile((&raw const CALLS.0).cast::<Shape>().add(call as usize)) };
    (shape.wanted != 0).then_some(shape)
}

/// An address of kernel memory; null where it is not known.
///
/// Reading what cannot be read gives zero, and from there on everything is zero: a chain of pointers is followed without a branch, of which the verifier would follow each.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) u64);

impl Address {
    #[inline(always)]
    pub(crate) fn at(self, offset: u32) -> Address {
        Address(self.0.wrapping_add(offset as u64))
    }

    #[inline(always)]
    pub(crate) fn before(self, offset: u32) -> Address {
        Address(self.0.wrapping_sub(offset as u64))
    }

    /// An integer that lies here.
    #[inline(always)]
    pub(crate) fn word(self) -> u32 {
        let mut value = 0u32;
        // SAFETY: four bytes are there to be written, and the helper checks the address; it writes zeroes where it cannot read.
        unsafe { bpf_probe_read_kernel((&raw mut value).cast(), 4, self.0 as *const _) };
        value
    }

    /// The pointer that lies here.
    #[inline(always)]
    pub(crate) fn follow(self) -> Address {
        let mut value = 0u64;
        // SAFETY: eight bytes are there to be written, and the helper checks the address; it writes zeroes where it cannot read.
        unsafe { bpf_probe_read_kernel((&raw mut value).cast(), 8, self.0 as *const _) };
        Address(value)
    }
}

/// The task that runs.
#[inline(always)]
pub(crate) fn task() -> Address {
    // SAFETY: takes no argument.
    Address(unsafe { bpf_get_current_task() })
}

/// Does the task that runs see all processes? Then it is in no sandbox: each has a pid namespace of its own, below the first one (pid_namespaces(7)).
///
/// What every call that fails pays for, so it is cheap where the kernel allows: two loads, in place of calls of a helper.
#[inline(always)]
pub(crate) fn is_outermost() -> bool {
    // SAFETY: a static.
    if unsafe { read_volatile(&raw const TYPED) } == 0 {
        let pid = task().at(offset!(task_thread_pid)).follow();
        return pid.at(offset!(pid_level)).word() == 0;
    }
    // SAFETY: takes no argument.
    let task: *const u8 = unsafe { bpf_get_current_task_btf() }.cast();
    // What is known before a helper is called must be kept over the call.
    let (thread_pid, level) = (offset!(task_thread_pid) as usize, offset!(pid_level) as usize);
    // SAFETY: the verifier knows the type behind the pointer and checks what is read of it; a read that fails gives zero.
    unsafe {
        let pid: *const u8 = read_volatile(task.add(thread_pid).cast());
        read_volatile(pid.add(level).cast::<u32>()) == 0
    }
}

/// Inode number of its innermost pid namespace.
#[inline(always)]
pub(crate) fn pid_namespace(task: Address) -> u32 {
    let pid = task.at(offset!(task_thread_pid)).follow();
    let level = pid.at(offset!(pid_level)).word();
    let number = pid.at(offset!(pid_numbers)).at(level.wrapping_mul(offset!(upid_size)));
    number.at(offset!(upid_ns)).follow().at(offset!(pid_ns_inum)).word()
}

/// The file behind a descriptor of the task; null where it has no such descriptor.
#[inline(always)]
pub(crate) fn file(task: Address, descriptor: u64) -> Address {
    let table = task.at(offset!(task_files)).follow().at(offset!(files_fdt)).follow();
    let descriptor = u64::from(descriptor as u32);
    if descriptor >= u64::from(table.at(offset!(fdt_max_fds)).word()) {
        return Address(0);
    }
    Address(table.at(offset!(fdt_fd)).follow().0.wrapping_add(descriptor * 8)).follow()
}

//! The programs, and the one report that all of them make.

use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{
    bpf_get_current_comm, bpf_get_current_task_btf, bpf_ktime_get_boot_ns, bpf_probe_read_user, bpf_ringbuf_output, bpf_task_pt_regs,
};
use aya_ebpf::macros::{fexit, map, raw_tracepoint};
use aya_ebpf::maps::{HashMap, RingBuf};
use aya_ebpf::programs::{FExitContext, RawTracePointContext};
use srt_ebpf::{NONE, Sandbox, Shape, text, wanted, watch};

use crate::directory;
use crate::kernel::{self, Address, offset};
use crate::scratch::Text;

/// Sandboxes by the inode number of their pid namespace.
#[map]
static SANDBOXES: HashMap<u32, Sandbox> = HashMap::with_max_entries(4096, 0);
/// Records on their way; the size is set by who loads the program.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

const ENOENT: u64 = 2;
const EPERM: u64 = 1;
const EACCES: u64 = 13;
const EROFS: u64 = 30;

/// After every system call (`include/trace/events/syscalls.h`: `sys_exit(struct pt_regs *regs, long ret)`).
#[raw_tracepoint]
fn every_call(context: RawTracePointContext) -> i32 {
    returned(context.as_ptr().cast());
    0
}

/// After one system call: `long __x64_sys_…(const struct pt_regs *regs)`; of a function with one argument, the context holds that and then what it returned (bpf_tracing, `BPF_TRACE_FEXIT`).
/// Loaded once for each call that is looked at.
#[fexit]
fn one_call(context: FExitContext) -> i32 {
    returned(context.as_ptr().cast());
    0
}

/// After the filter was asked: what it refuses never reaches the function behind the call. `int __seccomp_filter(…)`: -1 where it is refused, and the errno is in the registers.
///
/// Needs `bpf_get_func_ret` (Linux 5.17) and `bpf_task_pt_regs` (5.15).
#[fexit]
fn filtered(context: FExitContext) -> i32 {
    if context.ret::<i32>() == Ok(-1) && !kernel::is_outermost() {
        // SAFETY: the task that runs has registers of its own.
        let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as u64;
        let result = Address(regs).at(offset!(regs_result)).follow().0 as i64;
        if is_denial(result) {
            failed(regs, -result as u64);
        }
    }
    0
}

/// What every call pays for: a comparison where it did not fail; some loads where it failed outside of any pid namespace but the first.
///
/// The context holds the registers and the result. It is read again rather than kept: of what is kept over the call of a helper, a register is saved first, also where nothing fails.
#[inline(always)]
fn returned(context: *const u64) {
    // SAFETY: both are there; the verifier knows.
    let result = || unsafe { read_volatile(context.add(1)) } as i64;
    if is_denial(result()) && !kernel::is_outermost() {
        // SAFETY: as above.
        failed(unsafe { read_volatile(context) }, -result() as u64);
    }
}

#[inline(always)]
fn is_denial(result: i64) -> bool {
    result < 0 && matches!(-result as u64, EPERM | EACCES | EROFS | ENOENT)
}

/// A function of its own: where a call does not fail, none of the registers that are needed here is saved.
///
/// Goes by its own name: one that the compiler makes up depends on where the standard library's sources lie, and the object must not.
#[inline(never)]
#[unsafe(no_mangle)]
fn failed(regs: u64, errno: u64) {
    let task = kernel::task();
    let namespace = kernel::pid_namespace(task);
    let Some(sandbox) = SANDBOXES.get_ptr_mut(namespace) else { return };
    let regs = Address(regs);
    let call = regs.at(offset!(regs_call)).follow().0;
    let Some(shape) = kernel::shape(call) else { return };
    // SAFETY: an element of the map.
    let watched = unsafe { (*sandbox).watch };
    if errno == ENOENT && watched & watch::MISSING == 0 || shape.wanted == wanted::WITHOUT_BROKER && watched & watch::BROKER != 0 {
        return;
    }
    if !report(regs, task, call, shape, namespace, errno) {
        // SAFETY: an element of the map, aligned. An addition that needs no answer is atomic on every kernel; the target has no other atomics, so the standard library has no type for it.
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*sandbox).lost, 1) };
    }
}

/// False where the record is lost.
#[inline(always)]
fn report(regs: Address, task: Address, call: u64, shape: Shape, pid_ns: u32, errno: u64) -> bool {
    let Some(mut out) = Text::begin() else { return false };
    let ids = bpf_get_current_pid_tgid();
    let record = out.record();
    // SAFETY: takes no argument.
    record.time = unsafe { bpf_ktime_get_boot_ns() };
    record.pid_ns = pid_ns;
    record.pid = (ids >> 32) as u32;
    record.tid = ids as u32;
    record.call = call as u32;
    record.errno = errno as u32;
    record.flags = 0;
    for length in &mut record.lengths {
        // SAFETY: a field of the record; volatile, so that no function that fills memory is called.
        unsafe { write_volatile(length, 0) };
    }
    // SAFETY: sixteen bytes are there to be written.
    unsafe { bpf_get_current_comm((&raw mut record.comm).cast(), 16) };
    out.take_arguments(regs);
    path(task, shape.path, shape.directory, text::DIRECTORY, &mut out);
    path(task, shape.second_path, shape.second_directory, text::SECOND_DIRECTORY, &mut out);
    address(shape, &mut out);
    let (bytes, length) = out.bytes();
    // SAFETY: the map is a ring buffer, and so many bytes lie there.
    let failed = unsafe { bpf_ringbuf_output((&raw const RECORDS).cast_mut().cast(), bytes.cast(), length, 0) };
    out.end();
    failed == 0
}

/// A path and where it starts; or, without a path, the object behind a descriptor.
#[inline(always)]
fn path(task: Address, path: u8, directory: u8, place: usize, out: &mut Text) {
    if directory != NONE {
        let before = out.position();
        let flags = directory::write(task, directory, out.argument(directory), out);
        let length = (out.position() - before) as u16;
        let record = out.record();
        record.lengths[place] = length;
        record.flags |= flags;
    }
    if path != NONE {
        let length = out.push_path(out.argument(path));
        out.record().lengths[place + 1] = length;
    }
}

/// Where a socket was to be named or connected.
#[inline(always)]
fn address(shape: Shape, out: &mut Text) {
    let (address, length) = if shape.message != NONE {
        message(out.argument(shape.message))
    } else if shape.address != NONE {
        (out.argument(shape.address), out.argument(shape.address + 1))
    } else {
        return;
    };
    let length = out.push_address(address, length);
    out.record().lengths[text::ADDRESS] = length;
}

/// Address and length out of a `struct msghdr` of the caller's.
#[inline(always)]
fn message(header: u64) -> (u64, u64) {
    let (mut name, mut length) = (0u64, 0u64);
    // SAFETY: so many bytes are there to be written; the helper checks the address, and writes zeroes where it cannot read.
    unsafe {
        bpf_probe_read_user((&raw mut name).cast(), 8, header as *const _);
        bpf_probe_read_user((&raw mut length).cast(), 4, (header + 8) as *const _);
    }
    (name, length)
}

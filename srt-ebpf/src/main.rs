//! Reports denied system calls of sandboxes.
//!
//! Attached where calls return: to each call by itself (fexit), or to all of them (the raw tracepoint `sys_exit`). The way of a call that did not fail is one comparison long, and that of a call
//! outside any sandbox ends at a look into a small map.
//!
//! Everything that is read of the caller may have been changed by it since the kernel looked at it: a report can be made to lie about the caller's own call, and about nothing else. Nothing here
//! decides anything.
//!
//! The verifier of Linux 5.10 must pass this: loops have fixed bounds, and offsets into the scratch memory are masked.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics))]
#![cfg_attr(target_arch = "bpf", expect(internal_features, reason = "the one atomic addition of the target has no other door"))]

#[cfg(target_arch = "bpf")]
mod directory;
#[cfg(target_arch = "bpf")]
mod hooks;
#[cfg(target_arch = "bpf")]
mod kernel;
#[cfg(target_arch = "bpf")]
mod scratch;

/// There is nothing to run on this target.
#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel lets only programs under its own licence read its memory (bpf-helpers(7), `gpl_only`).
#[cfg(target_arch = "bpf")]
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

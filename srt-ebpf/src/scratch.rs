//! Memory in which a record is put together, one for each processor.
//!
//! A program stays on its processor, but on some kernels it can be interrupted there by another one of ours: whoever finds the memory taken counts its record as lost.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_probe_read_user_str};
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use srt_ebpf::{MOST_ADDRESS, MOST_DIRECTORY, MOST_NAMES, MOST_RECORD, MOST_TEXT, Record};

use crate::directory::Walk;
use crate::kernel::{Address, offset};

/// Where the next text can begin: below this. A power of two, so that the verifier sees it in one mask.
const BEGIN: usize = 1 << 14;
/// `NAME_MAX` and a NUL.
const MOST_NAME: usize = 256;

#[repr(C, align(8))]
struct Memory {
    taken: u64,
    /// Where the next text begins. Here and not in a register: what the verifier knows nothing about, it need not tell apart.
    at: u64,
    walk: Walk,
    bytes: [u8; BEGIN + MOST_TEXT],
}

// Even while a directory is written that turns out to be too long.
const _: () = assert!(MOST_RECORD < BEGIN && size_of::<Record>() + MOST_DIRECTORY + MOST_TEXT + MOST_NAMES * MOST_NAME < BEGIN);

#[map]
static SCRATCH: PerCpuArray<Memory> = PerCpuArray::with_max_entries(1, 0);

/// A record that is put together.
pub(crate) struct Text {
    memory: *mut Memory,
}

impl Text {
    /// Takes the memory; none where it is taken.
    #[inline(always)]
    pub(crate) fn begin() -> Option<Text> {
        let memory = SCRATCH.get_ptr_mut(0)?;
        // SAFETY: an element of a map, which nobody else on this processor uses while we run, but for who interrupts us and finds `taken` set.
        unsafe {
            if read_volatile(&raw const (*memory).taken) != 0 {
                return None;
            }
            write_volatile(&raw mut (*memory).taken, 1);
            write_volatile(&raw mut (*memory).at, size_of::<Record>() as u64);
        }
        Some(Text { memory })
    }

    /// The record that is being put together, for a part of the program that the verifier looks at by itself.
    #[inline(always)]
    pub(crate) fn resume() -> Option<Text> {
        Some(Text { memory: SCRATCH.get_ptr_mut(0)? })
    }

    /// Gives it back.
    #[inline(always)]
    pub(crate) fn end(self) {
        // SAFETY: as in `begin`.
        unsafe { write_volatile(&raw mut (*self.memory).taken, 0) };
    }

    /// The fixed part.
    #[inline(always)]
    pub(crate) fn record(&mut self) -> &mut Record {
        // SAFETY: the memory begins with it, is aligned for it, and any bytes are one.
        unsafe { &mut *self.record_pointer() }
    }

    /// All that was written.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> (*mut u8, u64) {
        // SAFETY: a field of the element.
        (unsafe { (&raw mut (*self.memory).bytes).cast() }, self.position() as u64)
    }

    #[inline(always)]
    pub(crate) fn position(&self) -> usize {
        // SAFETY: a field of the element.
        (unsafe { read_volatile(&raw const (*self.memory).at) }) as usize & (BEGIN - 1)
    }

    #[inline(always)]
    fn set_position(&mut self, at: usize) {
        // SAFETY: a field of the element.
        unsafe { write_volatile(&raw mut (*self.memory).at, at as u64) };
    }

    #[inline(always)]
    fn here(&self) -> *mut u8 {
        // SAFETY: the offset is masked to lie in the array.
        unsafe { (&raw mut (*self.memory).bytes).cast::<u8>().add(self.position()) }
    }

    /// Takes back all that was written since `position` was so.
    #[inline(always)]
    pub(crate) fn take_back(&mut self, position: usize) {
        self.set_position(position);
    }

    #[inline(always)]
    pub(crate) fn walk(&self) -> Walk {
        // SAFETY: a field of the element; any bytes are one.
        unsafe { read_volatile(&raw const (*self.memory).walk) }
    }

    #[inline(always)]
    pub(crate) fn set_walk(&mut self, walk: Walk) {
        // SAFETY: a field of the element.
        unsafe { write_volatile(&raw mut (*self.memory).walk, walk) };
    }

    /// One name of the kernel's with its NUL; false where it cannot be read.
    #[inline(always)]
    pub(crate) fn push_name(&mut self, name: Address) -> bool {
        // SAFETY: a name is at most 256 bytes long, and there is room for 4096 after every place where a text can begin; the helper checks the address.
        let length = unsafe { bpf_probe_read_kernel_str(self.here().cast(), MOST_NAME as u32, name.0 as *const _) };
        if length <= 0 {
            return false;
        }
        self.advance(length);
        true
    }

    /// A path of the caller's, without its NUL; its length. Zero where it cannot be read.
    #[inline(always)]
    pub(crate) fn push_path(&mut self, path: u64) -> u16 {
        // SAFETY: there is room; the helper checks the address.
        let length = unsafe { bpf_probe_read_user_str(self.here().cast(), MOST_TEXT as u32, path as *const _) };
        if length <= 1 {
            return 0;
        }
        self.advance(length - 1);
        (length - 1) as u16
    }

    /// A socket address of the caller's; its length. Zero where it cannot be read.
    #[inline(always)]
    pub(crate) fn push_address(&mut self, address: u64, length: u64) -> u16 {
        let length = if length as u32 > MOST_ADDRESS as u32 { MOST_ADDRESS as u32 } else { length as u32 };
        // SAFETY: as above.
        if unsafe { bpf_probe_read_user(self.here().cast(), length, address as *const _) } != 0 {
            return 0;
        }
        self.advance(i64::from(length));
        length as u16
    }

    #[inline(always)]
    fn advance(&mut self, length: i64) {
        self.set_position(self.position() + length as usize);
    }

    /// Copies the arguments of the call out of the registers.
    #[inline(always)]
    pub(crate) fn take_arguments(&mut self, regs: Address) {
        let arguments = &raw mut self.record().arguments;
        // Written out: the offsets are constants, and a loop would be followed round by round.
        macro_rules! take {
            ($($number:literal)+) => {$(
                let argument = regs.at(offset!(regs_arguments[$number])).0 as *const _;
                // SAFETY: a field of the record; the helper checks the address, and writes zeroes where it cannot read.
                unsafe { bpf_probe_read_kernel(arguments.cast::<u64>().add($number).cast(), 8, argument) };
            )+};
        }
        take!(0 1 2 3 4 5);
    }

    /// The argument with this number.
    #[inline(always)]
    pub(crate) fn argument(&self, number: u8) -> u64 {
        // SAFETY: the record and what follows it in memory are long enough for eight.
        unsafe { read_volatile((&raw const (*self.record_pointer()).arguments).cast::<u64>().add((number & 7) as usize)) }
    }

    #[inline(always)]
    fn record_pointer(&self) -> *mut Record {
        // SAFETY: a field of the element.
        unsafe { (&raw mut (*self.memory).bytes).cast() }
    }
}

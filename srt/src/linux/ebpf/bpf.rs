//! The commands of bpf(2) that loading a program takes.
//!
//! Each function is the call and nothing else, but that a kernel which counts programs and maps as locked memory (below Linux 5.11) is asked again when the limit is gone.
//!
//! The kernel takes attributes that are shorter than its own: what is left out is zero.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_func_info, bpf_insn, bpf_prog_info, bpf_prog_type};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::linux::sys::last_error;

/// Longest name of a program or map, with its NUL.
const MOST_NAME: usize = 16;

/// A map to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapShape {
    pub(super) kind: u32,
    pub(super) key: u32,
    pub(super) value: u32,
    pub(super) entries: u32,
    pub(super) flags: u32,
}

/// A program to be loaded.
#[derive(Clone, Copy)]
pub(super) struct Code<'a> {
    pub(super) name: &'a str,
    pub(super) licence: &'a CStr,
    pub(super) instructions: &'a [bpf_insn],
    /// Where each of its functions begins, and its type in `types`.
    pub(super) functions: &'a [bpf_func_info],
    /// From [`load_types`].
    pub(super) types: &'a OwnedFd,
}

/// What a program is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    /// A raw tracepoint.
    Tracepoint,
    /// The return of the function with this number in the kernel's BTF.
    Return(u32),
}

#[repr(C)]
#[derive(Default)]
struct MapAttributes {
    kind: u32,
    key: u32,
    value: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    node: u32,
    name: [u8; MOST_NAME],
}

#[repr(C)]
struct ElementAttributes {
    map: u32,
    reserved: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct TypesAttributes {
    types: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgramAttributes {
    kind: u32,
    instructions_count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; MOST_NAME],
    interface: u32,
    attach_type: u32,
    types: u32,
    function_size: u32,
    functions: u64,
    functions_count: u32,
    line_size: u32,
    lines: u64,
    lines_count: u32,
    attach_to: u32,
}

#[repr(C)]
struct OpenAttributes {
    name: u64,
    program: u32,
    reserved: u32,
}

#[repr(C)]
struct InfoAttributes {
    descriptor: u32,
    length: u32,
    info: u64,
}

// As in `union bpf_attr` of <linux/bpf.h>.
const _: () = {
    assert!(size_of::<MapAttributes>() == 44);
    assert!(size_of::<ElementAttributes>() == 32);
    assert!(std::mem::offset_of!(ProgramAttributes, name) == 48);
    assert!(std::mem::offset_of!(ProgramAttributes, functions) == 80);
    assert!(std::mem::offset_of!(ProgramAttributes, attach_to) == 108);
};

/// bpf(2).
///
/// # Safety
/// `attributes` is made of integers without gaps, and those of them that are addresses are good for what `command` does with them.
unsafe fn call<T>(command: bpf_cmd, attributes: &T) -> Result<libc::c_long, Errno> {
    // SAFETY: the attributes live, and are as long as is said; the caller vouches for what they name.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_long, std::ptr::from_ref(attributes), size_of::<T>()) };
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

/// As [`call`], for commands that give a descriptor.
///
/// # Safety
/// As [`call`].
unsafe fn open<T>(command: bpf_cmd, attributes: &T) -> Result<OwnedFd, Errno> {
    // SAFETY: the caller vouches for it.
    let ask = || unsafe { call(command, attributes) };
    let result = match ask() {
        Err(Errno::PERM) if lift_memory_limit() => ask(),
        result => result,
    }?;
    // SAFETY: the kernel has just made this descriptor (close-on-exec, bpf(2)), and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}

/// False where there is none, or it cannot be lifted. The command has been forked off already: it keeps its own.
fn lift_memory_limit() -> bool {
    let none = Rlimit { current: None, maximum: None };
    getrlimit(Resource::Memlock).current.is_some() && setrlimit(Resource::Memlock, none).is_ok()
}

fn address<T: ?Sized>(of: &T) -> u64 {
    std::ptr::from_ref(of).cast::<u8>() as u64
}

fn name(text: &str) -> [u8; MOST_NAME] {
    let mut name = [0; MOST_NAME];
    let length = text.len().min(MOST_NAME - 1);
    name[..length].copy_from_slice(&text.as_bytes()[..length]);
    name
}

/// `BPF_MAP_CREATE`.
pub(super) fn create_map(text: &str, shape: MapShape) -> Result<OwnedFd, Errno> {
    let MapShape { kind, key, value, entries, flags } = shape;
    let attributes = MapAttributes { kind, key, value, entries, flags, name: name(text), ..MapAttributes::default() };
    // SAFETY: integers alone.
    unsafe { open(bpf_cmd::BPF_MAP_CREATE, &attributes) }
}

/// `BPF_MAP_UPDATE_ELEM` and `BPF_MAP_FREEZE`: the one element of an array, for ever. `value` is as long as the map's values.
pub(super) fn fill(map: &OwnedFd, value: &[u8]) -> Result<(), Errno> {
    let key = 0u32;
    let map = map.as_raw_fd() as u32;
    let attributes = ElementAttributes { map, reserved: 0, key: address(&key), value: address(value), flags: 0 };
    // SAFETY: key and value live, and are as long as the map's.
    unsafe { call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &attributes) }?;
    // SAFETY: integers alone.
    unsafe { call(bpf_cmd::BPF_MAP_FREEZE, &map) }.map(drop)
}

/// `BPF_BTF_LOAD`.
pub(super) fn load_types(types: &[u8]) -> Result<OwnedFd, Errno> {
    let attributes = TypesAttributes { types: address(types), size: types.len() as u32, ..TypesAttributes::default() };
    // SAFETY: the types live, and are as long as is said.
    unsafe { open(bpf_cmd::BPF_BTF_LOAD, &attributes) }
}

/// `BPF_PROG_LOAD`. The verifier writes to `log` what it thinks, ended by NUL, unless it is empty.
pub(super) fn load(code: Code<'_>, purpose: Use, log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let (kind, attach_type, attach_to) = match purpose {
        Use::Tracepoint => (bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0),
        Use::Return(function) => (bpf_prog_type::BPF_PROG_TYPE_TRACING, bpf_attach_type::BPF_TRACE_FEXIT as u32, function),
    };
    let attributes = ProgramAttributes {
        kind: kind as u32,
        instructions_count: code.instructions.len() as u32,
        instructions: address(code.instructions),
        licence: address(code.licence.to_bytes_with_nul()),
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        name: name(code.name),
        attach_type,
        types: code.types.as_raw_fd() as u32,
        function_size: size_of::<bpf_func_info>() as u32,
        functions: address(code.functions),
        functions_count: code.functions.len() as u32,
        attach_to,
        ..ProgramAttributes::default()
    };
    // SAFETY: instructions, licence and functions live, and are as long as is said; the log is ours to be written.
    unsafe { open(bpf_cmd::BPF_PROG_LOAD, &attributes) }
}

/// `BPF_RAW_TRACEPOINT_OPEN`: attaches a program, to the tracepoint with this name or to what it was loaded for, until the descriptor is closed.
pub(super) fn attach(program: &OwnedFd, tracepoint: Option<&CStr>) -> Result<OwnedFd, Errno> {
    let name = tracepoint.map_or(0, |name| address(name.to_bytes_with_nul()));
    let attributes = OpenAttributes { name, program: program.as_raw_fd() as u32, reserved: 0 };
    // SAFETY: the name lives and is ended by NUL.
    unsafe { open(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &attributes) }
}

/// How often the program did not run because it was running on the same processor already (`BPF_OBJ_GET_INFO_BY_FD`, Linux 5.12; zero below).
pub(super) fn misses(program: impl AsFd) -> Result<u64, Errno> {
    // SAFETY: made of integers, of which zero is one.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let descriptor = program.as_fd().as_raw_fd() as u32;
    let attributes = InfoAttributes { descriptor, length: size_of::<bpf_prog_info>() as u32, info: std::ptr::from_mut(&mut info) as u64 };
    // SAFETY: the structure is ours, and as long as is said.
    unsafe { call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &attributes) }?;
    Ok(info.recursion_misses)
}

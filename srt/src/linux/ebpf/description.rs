//! The kernel's description of itself, as bytes: mapped where the kernel lets us (Linux 6.16), read otherwise.
//!
//! Reading copies some megabytes, a page with each call.

use std::fs::File;
use std::io::Read as _;
use std::ops::Deref;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Where the running kernel describes itself.
pub(in crate::linux) const KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// The bytes.
pub(super) enum Description {
    Mapped(Mapping),
    Read(Vec<u8>),
}

/// Pages of the kernel's own, which never change.
pub(super) struct Mapping {
    start: *mut libc::c_void,
    length: usize,
}

impl Description {
    /// Of the running kernel.
    pub(super) fn open() -> std::io::Result<Description> {
        let mut file = File::open(KERNEL)?;
        if let Some(mapping) = Mapping::of(&file) {
            return Ok(Description::Mapped(mapping));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Description::Read(bytes))
    }
}

impl Deref for Description {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            // SAFETY: so many bytes are mapped, for reading, as long as this lives; the kernel does not write to them.
            Description::Mapped(Mapping { start, length }) => unsafe { std::slice::from_raw_parts(start.cast(), *length) },
            Description::Read(bytes) => bytes,
        }
    }
}

impl Mapping {
    fn of(file: &File) -> Option<Mapping> {
        let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
        // SAFETY: the kernel chooses a place where nothing is.
        let start = unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }.ok()?;
        Some(Mapping { start, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by us, and nobody has a reference into it any more: each borrows from this.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_is_what_is_in_the_file() {
        let file = std::env::current_exe().unwrap();
        let mapped = Description::Mapped(Mapping::of(&File::open(&file).unwrap()).unwrap());
        assert!(*mapped == *std::fs::read(file).unwrap());
    }

    #[test]
    fn what_cannot_be_mapped_is_left_to_be_read() {
        assert!(Mapping::of(&File::open("/").unwrap()).is_none());
        assert!(Mapping::of(&File::open("/proc/self/stat").unwrap()).is_none(), "its length is not known");
    }
}

//! Processes, by libproc.
//!
//! See `<libproc.h>`, `<sys/proc_info.h>`.

use std::io;
use std::mem::MaybeUninit;

/// `SZOMB` of `<sys/proc.h>`.
const ZOMBIE: u32 = 5;
/// Room for processes that appear between two calls.
const MORE: usize = 64;

/// Every process that this user may see.
pub(super) fn all() -> Vec<i32> {
    // SAFETY: without a buffer, it only counts.
    let count = usize::try_from(unsafe { libc::proc_listallpids(std::ptr::null_mut(), 0) }).unwrap_or(0);
    let mut found = vec![0i32; count + MORE];
    // SAFETY: the buffer is of the size given.
    let count = unsafe { libc::proc_listallpids(found.as_mut_ptr().cast(), size_of_val(found.as_slice()) as i32) };
    found.truncate(usize::try_from(count).unwrap_or(0));
    found.retain(|id| *id > 0);
    found
}

/// The parent of a process that lives; a zombie does not.
pub(super) fn parent(id: i32) -> Option<i32> {
    let info: libc::proc_bsdinfo = information(id, libc::PROC_PIDTBSDINFO).ok()?;
    (info.pbi_status != ZOMBIE).then_some(info.pbi_ppid as i32)
}

/// Threads of this process.
pub(super) fn threads() -> io::Result<usize> {
    let info: libc::proc_taskinfo = information(std::process::id() as i32, libc::PROC_PIDTASKINFO)?;
    usize::try_from(info.pti_threadnum).map_err(io::Error::other)
}

/// `T` must be the structure that `flavor` fills.
fn information<T>(id: i32, flavor: i32) -> io::Result<T> {
    let mut info = MaybeUninit::<T>::zeroed();
    let size = size_of::<T>() as i32;
    // SAFETY: the buffer is of the size given.
    let filled = unsafe { libc::proc_pidinfo(id, flavor, 0, info.as_mut_ptr().cast(), size) };
    // SAFETY: all of it was written, and these structures hold numbers only.
    if filled == size { Ok(unsafe { info.assume_init() }) } else { Err(io::Error::last_os_error()) }
}

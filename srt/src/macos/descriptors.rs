//! Which descriptors the command gets: those above 2 that were named, and no others.
//!
//! macOS has no close_range(2); what is open is listed in `/dev/fd`.

use std::os::fd::RawFd;

use crate::{Fault, unix};

/// Checks the descriptors that the caller named, and closes every other above 2. Before anything of ours is opened: what is open afterwards besides is ours, and closes at
/// execve(2).
///
/// # Errors
/// A descriptor that must not be passed, or is not open; a list of open ones that cannot be read.
pub fn close_inherited(keep: &[RawFd]) -> Result<(), Fault> {
    unix::check(keep)?;
    close_all_but(keep).map_err(|error| Fault::os("close inherited descriptors", error))
}

/// Closes everything above 2 but `keep`, in a process with one thread.
pub(super) fn close_all_but(keep: &[RawFd]) -> std::io::Result<()> {
    // All numbers first: the list has a descriptor of its own, which is among them and closed before the others are.
    let listed: Vec<RawFd> = std::fs::read_dir("/dev/fd")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in listed.into_iter().filter(|descriptor| *descriptor > 2 && !keep.contains(descriptor)) {
        // SAFETY: closing descriptors is memory-safe; callers use none of these any more.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

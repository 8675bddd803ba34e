//! The system-call filter.
//!
//! A table in code says what is refused; [`compile`] turns it into classic BPF. Pure but for [`install`].
//!
//! The rules are laid out as a binary search tree over the system-call number. When a filter is installed, the kernel runs it once for every number
//! it knows, to learn which calls are always allowed (Linux 5.11), so a linear chain of these rules takes twice as long to install (144 µs against 70 µs,
//! measured on 6.18 with 44 rows). That is also why `seccompiler`'s own compiler is not used, which lays out chains; its program type and its installer are.
//!
//! See seccomp(2), and `struct seccomp_data` in linux/seccomp.h for the offsets.

mod program;
mod table;
#[cfg(test)]
mod tests;

use seccompiler::sock_filter;

pub(super) use program::compile;
pub(super) use table::FilterSpec;

/// Installs the filter on the calling thread, for ever, and sets `no_new_privs`.
///
/// # Errors
/// As seccomp(2).
pub(super) fn install(program: &[sock_filter]) -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(program)
}

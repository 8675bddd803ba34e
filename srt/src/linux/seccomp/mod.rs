//! The system-call filter.
//!
//! A table in code says what is refused and what the broker performs; [`compile`] turns it into classic BPF. Pure: [`super::notify`] installs it.
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

pub(super) use program::compile;
pub(super) use table::{FilterSpec, IOPRIO_WHO_PROCESS, NAMESPACE_FLAGS};

/// Every call that may reach the broker.
#[cfg(test)]
pub(super) fn stopped_calls() -> impl Iterator<Item = libc::c_long> {
    let spec =
        FilterSpec { broker: true, watch_reads: true, on_host: false, unix_sockets: false, refuse_group_kill: true, refuse_set_id: true };
    table::table(spec)
        .into_iter()
        .filter(|(_, action)| !matches!(action, table::Action::Refuse(errno) if *errno != table::EPERM))
        .map(|row| row.0)
}

/// Every call that the filter refuses by itself where there is no broker.
pub(super) fn refused_calls() -> impl Iterator<Item = libc::c_long> {
    let spec =
        FilterSpec { broker: false, watch_reads: false, on_host: false, unix_sockets: false, refuse_group_kill: true, refuse_set_id: true };
    table::table(spec)
        .into_iter()
        .filter(|(_, action)| matches!(action, table::Action::Refuse(table::EPERM) | table::Action::RefuseIf(_)))
        .map(|row| row.0)
}

/// Does the filter of a run without a broker refuse this call, with these arguments? What a caller may not do for another reason is none of ours.
pub fn filter_refuses(call: libc::c_long, arguments: &[u64; 6]) -> bool {
    let spec =
        FilterSpec { broker: false, watch_reads: false, on_host: false, unix_sockets: false, refuse_group_kill: true, refuse_set_id: true };
    table::table(spec).iter().filter(|(number, _)| *number == call).any(|(_, action)| match action {
        table::Action::Refuse(errno) => *errno == table::EPERM,
        table::Action::RefuseIf(tests) => tests.iter().any(|test| test.holds(arguments)),
        table::Action::Ask | table::Action::AskIf(_) => false,
    })
}

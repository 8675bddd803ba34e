//! Denials as the kernel sees them.
//!
//! A small program (`srt-ebpf`) is attached where system calls return, and writes those that were denied inside a sandbox into a ring buffer. Nothing is decided
//! by it, and a run without it is as safe. What it reads of a caller's memory may have been changed by the caller meanwhile: a report can lie about the caller's own call only.

mod bpf;
mod btf;
mod calls;
mod description;
mod layout;
mod load;
mod object;

pub use calls::{Aim, Scope, find};
pub(in crate::linux) use description::KERNEL;
pub use load::{Attached, Program, Way};

/// An error of aya's with all that led to it.
fn causes(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

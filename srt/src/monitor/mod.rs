//! `srt monitor`: one program in the kernel for all sandboxes of a host, and their stream for those who may see it.
//!
//! A run that may not load the program itself tells the service of its pid namespace ([`connect`]) and is told what the kernel saw of it; its status lines go the other way. Whoever watches gets
//! the lines of the sandboxes that are his; root gets all. The protocol is in `srt/docs/monitor.md`.
//!
//! The service runs with rights that its clients do not have, and believes nothing of what they say about themselves: who they are, the kernel says, and a namespace is shown by a descriptor
//! of it. Whatever a client sends, or does not read, costs a bounded amount of memory.

mod client;
mod socket;
mod wire;

pub use client::{Connection, Gone, Packet, Retry, connect, reconnect};
pub use wire::Attached;

/// Where the service listens.
pub const SOCKET: &str = "/run/srt/monitor.sock";

//! The sandbox's name server.
//!
//! It answers on every address of the sandbox, from the policy alone: no question is ever passed on, so DNS carries nothing out. An allowed name gets an
//! address that stands for it; every other name does not exist, and an event says so.
//!
//! Whoever asks is inside the sandbox and may send anything, at any rate. An answer takes no waiting, so there are no questions in flight to bound; the loops yield, so
//! that a flood of questions slows down its own sandbox and not the supervisor's other work.
//!
//! Both families are always answered: either address leads to the same listener, IPv6-only programs need the one and IPv4-only programs the other, and where a
//! program can use both, address selection (RFC 6724) puts IPv4 before the unique local addresses used here.

mod answer;
mod datagram;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod reverse;
mod stream;
mod zone;

pub(super) use datagram::serve as serve_datagrams;
pub(super) use stream::serve as serve_streams;
pub(super) use zone::Zone;

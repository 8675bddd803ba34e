//! Bounds of the proxy: times, sizes, numbers.
//!
//! The sandbox may use all of them up; then it has stopped its own network and nothing else.

use std::time::Duration;

/// A client that sends nothing holds a descriptor; the npm program waits as long.
pub(super) const FIRST_BYTE: Duration = Duration::from_secs(10);

/// The SOCKS handshake up to the request, and the rest of a ClientHello after its first byte.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// Request head of HTTP/1.1, and the wait for the next request on a kept connection.
pub(super) const REQUEST_HEAD: Duration = Duration::from_secs(60);

/// Resolving, connecting and the parent's answer, together.
pub(super) const DIAL: Duration = Duration::from_secs(30);

/// Before the next address is tried beside the first (RFC 8305 section 5).
pub(super) const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// A tunnel without a byte either way. Longer than the keep-alive intervals of ssh, databases and push channels in use (30 s to
/// 5 min); short enough that forgotten tunnels go away.
pub(super) const IDLE: Duration = Duration::from_secs(600);

/// After the last program has ended: for bytes that it had written and that are still on their way. A host in use takes them at once.
pub(super) const LEAVING: Duration = Duration::from_secs(1);

/// How long addresses of this machine's interfaces are believed.
pub(super) const INTERFACES: Duration = Duration::from_secs(5);

/// Header block of a request or an answer, with its first line. The common limit of servers is 8 to 64 KiB.
pub(super) const HEADER_BLOCK: usize = 64 * 1024;

/// Bytes held per direction of a tunnel while its reader is slow.
pub(super) const CHUNK: usize = 64 * 1024;

/// Capacity of a pipe for splice(2), and so what a spliced direction holds for a slow reader. Measured on loopback: 2.0 GiB/s with
/// 256 KiB or more, 0.9 with 64 KiB, 1.5 by copying.
#[cfg(target_os = "linux")]
pub(super) const PIPE: usize = 256 * 1024;

/// A ClientHello with its record headers. RFC 8446 allows 16 MiB; with post-quantum key shares real ones stay below 4 KiB.
pub(super) const CLIENT_HELLO: usize = 32 * 1024;

/// Addresses of one name that are tried.
pub(super) const ADDRESSES: usize = 8;

/// Names resolved at once: each takes a thread of the blocking pool.
pub(super) const LOOKUPS: usize = 16;

/// Connections at once. Beyond it none is accepted until one ends; the kernel's backlog holds the rest back.
const CONNECTIONS: usize = 2048;

/// Descriptors for everything but connections: pipes of the relay, lookups, the rest of the supervisor.
const OTHER_DESCRIPTORS: usize = 256;

/// Raises the soft limit of open descriptors to the hard one, and says for how many connections (two descriptors each) it is enough.
///
/// The limit is this process's own: the sandboxed command was started before, with the caller's limits.
pub(super) fn connections() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = (2 * CONNECTIONS + OTHER_DESCRIPTORS) as u64;
    let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let has = match current {
        Some(current) if current < raised => {
            setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).map_or(current, |()| raised)
        }
        Some(current) => current,
        None => wanted,
    };
    let has = usize::try_from(has).unwrap_or(usize::MAX);
    (has.saturating_sub(OTHER_DESCRIPTORS) / 2).clamp(16, CONNECTIONS)
}

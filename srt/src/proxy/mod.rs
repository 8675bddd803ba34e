//! The filtering proxy: HTTP/1.1 forward, CONNECT and SOCKS5 on one port.
//!
//! It accepts on a socket that lives in the sandbox's network namespace and dials out from the host's. Everything a client sends is
//! chosen by the sandboxed command: first bytes, request lines, headers, host names, TLS records, speed, and when it hangs up. So:
//!
//! - nothing is dialled before [`crate::policy::NetPolicy::decide`] allowed it, and only addresses that
//!   [`crate::policy::NetPolicy::decide_address`] passed;
//! - plain requests are parsed and written anew by hyper, never passed on as bytes, so both ends see the same framing;
//! - every buffer, wait and number of connections has a bound; a slow peer is held back, not buffered for;
//! - credentials sent to the proxy are never forwarded. In a network of the sandbox's own they are ignored, for reaching the socket at all is what a sandboxed process may
//!   do; on the host's loopback (macOS) each request must bear the [`Token`] of the run.
//!
//! What it does not do: look into TLS (it compares the server name only), filter by path, check a plain HTTP conversation inside a tunnel.
//!
//! ```text
//! listener ─ first byte ─┬─ http  ─┬─ connect ─┐
//!                        │         └─ forward ─┼─ route ─ dial ─ (parent) ─ upstream
//!                        └─ socks5 ────────────┘             then: tunnel = screen (server name) + relay
//! ```

mod context;
mod denial;
mod destinations;
mod dial;
mod dns;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod happy_eyeballs;
mod http;
mod interfaces;
mod leaving;
mod limits;
mod listener;
mod names;
mod network;
mod parent;
mod publish;
mod pump;
mod relay;
mod route;
mod screen;
mod sni;
mod socks5;
#[cfg(target_os = "linux")]
mod splice;
mod stream;
#[cfg(test)]
mod tests;
mod token;
mod transparent;
mod tunnel;

#[cfg(any(test, fuzzing))]
pub(crate) use dns::fuzzing::dns as fuzz_dns;

pub use context::ProxyContext;
pub use destinations::{Destination, Destinations};
pub use listener::serve;
pub use network::Network;
pub use publish::{Published, listen};
pub use token::Token;
pub use transparent::{Admission, Asked, Protocol, Transparent};

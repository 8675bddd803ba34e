//! An open tunnel, from its first byte to its last.

use super::ProxyContext;
use super::relay::{Broken, relay};
use super::screen::{Stopped, first_bytes};
use super::stream::Peer;
use crate::policy::Target;

/// Runs a tunnel that the policy allowed; a TLS client must ask for `target`.
///
/// How it ended is of no interest to anyone: what was refused was reported, and the client has seen its end of the stream.
pub(super) async fn run(context: &ProxyContext, client: Peer, upstream: Peer, target: &Target) {
    let first = async {
        first_bytes(context, &client, target).await.map_err(|stopped| match stopped {
            Stopped::Refused => Broken::Refused,
            Stopped::Gone => Broken::Io,
        })
    };
    let _ = relay(context, &client, &upstream, first).await;
}

/// Runs a tunnel whose bytes are not looked at: to the user's own proxy, or after an upgrade of plain HTTP.
pub(super) async fn run_opaque(context: &ProxyContext, client: Peer, upstream: Peer) {
    let early = client.early.to_vec();
    let _ = relay(context, &client, &upstream, std::future::ready(Ok(early))).await;
}

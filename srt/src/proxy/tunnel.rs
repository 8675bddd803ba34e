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
    let _ = carry(context, &client, &upstream, target).await;
}

/// The same, for a client that is told how it ended.
///
/// # Errors
/// One side broke off, both were silent, or the client was refused.
pub(super) async fn carry(context: &ProxyContext, client: &Peer, upstream: &Peer, target: &Target) -> Result<(), Broken> {
    let first = async {
        first_bytes(context, client, target).await.map_err(|stopped| match stopped {
            Stopped::Refused => Broken::Refused,
            Stopped::Gone => Broken::Io,
        })
    };
    relay(context, client, upstream, first).await
}

/// Runs a tunnel whose bytes are not looked at: to the user's own proxy, or after an upgrade of plain HTTP.
pub(super) async fn run_opaque(context: &ProxyContext, client: Peer, upstream: Peer) {
    let _ = carry_opaque(context, &client, &upstream).await;
}

/// The same, for a client that is told how it ended.
///
/// # Errors
/// One side broke off, or both were silent.
pub(super) async fn carry_opaque(context: &ProxyContext, client: &Peer, upstream: &Peer) -> Result<(), Broken> {
    let early = client.early.to_vec();
    relay(context, client, upstream, std::future::ready(Ok(early))).await
}

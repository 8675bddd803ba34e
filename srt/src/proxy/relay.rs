//! Both directions of a tunnel, until both have ended or one breaks.
//!
//! The end of one direction is passed on and the other goes on (half-close): `ssh`, `git` and protocols of the form "send everything, then
//! read the answer" rely on it. An error or a long silence closes both ends, because both sockets are dropped with the tunnel.

use std::io;

use super::ProxyContext;
use super::pump::{Activity, pump};
use super::stream::{Peer, Stream};

/// Why a tunnel was given up.
#[derive(Debug)]
pub(super) enum Broken {
    /// A socket failed.
    Io,
    /// No byte moved for the idle time.
    Idle,
    /// The client's first bytes were not acceptable.
    Refused,
}

impl From<io::Error> for Broken {
    fn from(_error: io::Error) -> Self {
        Broken::Io
    }
}

/// Relays between two peers, of which the client is inside the sandbox. `first` gives the client's first bytes, once they may pass; the other direction does not wait for it.
pub(super) async fn relay(
    context: &ProxyContext,
    client: &Peer,
    upstream: &Peer,
    first: impl Future<Output = Result<Vec<u8>, Broken>>,
) -> Result<(), Broken> {
    let activity = Activity::begin();
    let up = async {
        let _leaving = context.leaving.begin();
        let bytes = first.await?;
        forward(context, &bytes, &client.stream, &upstream.stream, &activity).await
    };
    let down = forward(context, &upstream.early, &upstream.stream, &client.stream, &activity);
    tokio::select! {
        ended = async { tokio::try_join!(up, down) } => ended.map(drop),
        () = activity.ceased() => Err(Broken::Idle),
    }
}

async fn forward(context: &ProxyContext, early: &[u8], from: &Stream, to: &Stream, activity: &Activity) -> Result<(), Broken> {
    to.write_everything(early).await?;
    Ok(pump(context, from, to, activity).await?)
}

//! By which way an allowed destination is reached: `mitmProxy`, then `parentProxy`, then directly.

use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::dial::{DialError, dial_checked, dial_trusted};
use super::stream::{Peer, Stream};
use super::{ProxyContext, limits, parent};
use crate::policy::{ParentProtocol, ParentUrl, Target};

/// A connection on which a plain request can be sent.
pub(super) struct RequestLink {
    /// The connection.
    pub(super) peer: Peer,
    /// Requests on it name the whole URL, because a proxy reads them.
    pub(super) to_proxy: bool,
    /// What that proxy wants to see.
    pub(super) authorization: Option<HeaderValue>,
}

/// Opens a byte stream to the destination.
pub(super) async fn open_tunnel(context: &ProxyContext, target: &Target) -> Result<Peer, DialError> {
    within(limits::DIAL, async {
        if let Some(socket) = mitm_socket(context, target) {
            return parent::http_tunnel(Stream::Unix(UnixStream::connect(socket).await?), target, None).await;
        }
        let policy = context.policy();
        let configured = policy.parent.as_ref();
        match configured.and_then(|parents| parents.for_tunnel(&target.host, target.port)) {
            Some(parent) => tunnel_through(context, parent, target).await,
            None => dial_checked(context, target).await.map(Peer::from),
        }
    })
    .await
}

/// Opens a connection for plain requests to the destination.
pub(super) async fn open_request_link(context: &ProxyContext, target: &Target) -> Result<RequestLink, DialError> {
    within(limits::DIAL, async {
        if let Some(socket) = mitm_socket(context, target) {
            let peer = Stream::Unix(UnixStream::connect(socket).await?).into();
            return Ok(RequestLink { peer, to_proxy: true, authorization: None });
        }
        let policy = context.policy();
        let configured = policy.parent.as_ref();
        match configured.and_then(|parents| parents.for_request(&target.host, target.port)) {
            Some(parent) if parent.protocol == ParentProtocol::Http => {
                let peer = dial_trusted(context, &parent.target).await?.into();
                Ok(RequestLink { peer, to_proxy: true, authorization: parent::basic_authorization(parent) })
            }
            Some(parent) => Ok(origin(tunnel_through(context, parent, target).await?)),
            None => Ok(origin(dial_checked(context, target).await?.into())),
        }
    })
    .await
}

fn origin(peer: Peer) -> RequestLink {
    RequestLink { peer, to_proxy: false, authorization: None }
}

fn mitm_socket(context: &ProxyContext, target: &Target) -> Option<String> {
    let policy = context.policy();
    let mitm = policy.mitm.as_ref()?;
    mitm.covers(&target.host, target.port).then(|| mitm.socket_path.clone())
}

async fn tunnel_through(context: &ProxyContext, parent: &ParentUrl, target: &Target) -> Result<Peer, DialError> {
    match (parent.protocol, dial_trusted(context, &parent.target).await?) {
        (ParentProtocol::Socks5, Stream::Tcp(stream)) => parent::socks_tunnel(stream, parent, target).await,
        (_, stream) => parent::http_tunnel(stream, target, parent::basic_authorization(parent)).await,
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, DialError>>) -> Result<T, DialError> {
    timeout(limit, work).await.unwrap_or(Err(DialError::TimedOut))
}

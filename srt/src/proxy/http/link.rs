//! The connection to where plain requests of one client go.

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;

use crate::policy::Target;
use crate::proxy::dial::DialError;
use crate::proxy::route::RequestLink;
use crate::proxy::{ProxyContext, limits, route};

/// An open connection for requests to one destination. Never used for another one: the check of the address was made for this name.
pub(super) struct Link {
    pub(super) target: Target,
    pub(super) sender: SendRequest<Incoming>,
    /// Requests name the whole URL, because a proxy reads them.
    pub(super) to_proxy: bool,
    /// What that proxy wants to see.
    pub(super) authorization: Option<HeaderValue>,
}

impl Link {
    /// Connects by the route of the policy.
    pub(super) async fn open(context: &ProxyContext, target: &Target) -> Result<Link, DialError> {
        let RequestLink { peer, to_proxy, authorization } = route::open_request_link(context, target).await?;
        // A parent that sends bytes behind the end of its own handshake has lost its place in the stream.
        if !peer.early.is_empty() {
            return Err(DialError::Parent("sent bytes too early".into()));
        }
        let (sender, connection) = http1::Builder::new()
            .max_header_size(limits::HEADER_BLOCK)
            .max_buf_size(limits::HEADER_BLOCK)
            .preserve_header_case(true)
            .handshake(TokioIo::new(peer.stream))
            .await
            .map_err(|error| DialError::Connect(std::io::Error::other(error)))?;
        // Ends by itself when the sender is dropped and the answer is through, or when upstream closes.
        tokio::task::spawn_local(connection.with_upgrades());
        Ok(Link { target: target.clone(), sender, to_proxy, authorization })
    }
}

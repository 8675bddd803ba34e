//! Asking a parent proxy for a tunnel: HTTP CONNECT (RFC 9110 section 9.3.6) or SOCKS5 (RFC 1928, by `tokio-socks`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;

use super::dial::DialError;
use super::limits;
use super::stream::{Peer, Stream};
use crate::policy::{Host, ParentUrl, Target};

/// `Basic …`, marked as sensitive so that it is not logged.
pub(super) fn basic_authorization(parent: &ParentUrl) -> Option<HeaderValue> {
    let (user, password) = parent.credentials.as_ref()?;
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Opens a tunnel through an HTTP proxy that `stream` is connected to.
pub(super) async fn http_tunnel(stream: Stream, target: &Target, authorization: Option<HeaderValue>) -> Result<Peer, DialError> {
    let failed = |error: hyper::Error| DialError::Parent(format!("broke off: {error}"));
    let (mut sender, connection) = http1::Builder::new()
        .max_header_size(limits::HEADER_BLOCK)
        .max_buf_size(limits::HEADER_BLOCK)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let driver = tokio::task::spawn_local(connection.with_upgrades());
    let response = sender.send_request(connect_request(target, authorization)?).await.map_err(failed)?;
    if !response.status().is_success() {
        driver.abort();
        return Err(DialError::Parent(format!("answered {}", response.status())));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(failed)?;
    let parts = upgraded.downcast::<TokioIo<Stream>>().map_err(|_| DialError::Parent("gave no tunnel".into()))?;
    Ok(Peer { stream: parts.io.into_inner(), early: parts.read_buf })
}

fn connect_request(target: &Target, authorization: Option<HeaderValue>) -> Result<Request<Empty<Bytes>>, DialError> {
    let unusable = |_| DialError::Parent("cannot be asked for this host".into());
    let authority = target.to_string();
    let uri = Uri::builder().authority(authority.as_str()).build().map_err(unusable)?;
    let mut request = Request::builder().method(Method::CONNECT).uri(uri).header(HOST, authority).body(Empty::new()).map_err(unusable)?;
    if let Some(authorization) = authorization {
        request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
    }
    Ok(request)
}

/// Opens a tunnel through a SOCKS5 proxy that `stream` is connected to. Names go to the parent unresolved.
pub(super) async fn socks_tunnel(stream: TcpStream, parent: &ParentUrl, target: &Target) -> Result<Peer, DialError> {
    let address = match &target.host {
        Host::Ip(ip) => TargetAddr::Ip((*ip, target.port).into()),
        Host::Name(name) => TargetAddr::Domain(name.as_str().into(), target.port),
    };
    let tunnel = match &parent.credentials {
        Some((user, password)) => Socks5Stream::connect_with_password_and_socket(stream, address, user, password).await,
        None => Socks5Stream::connect_with_socket(stream, address).await,
    };
    let stream = tunnel.map_err(|error| DialError::Parent(format!("refused: {error}")))?.into_inner();
    Ok(Stream::tcp(stream)?.into())
}

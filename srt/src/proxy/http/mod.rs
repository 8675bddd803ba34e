//! HTTP/1.1: CONNECT tunnels and plain requests in absolute form (RFC 9110 section 3.7, RFC 9112 section 3.2).
//!
//! hyper parses and writes every head and body, so request smuggling needs a fault in hyper, not a disagreement between us and a server.

mod answer;
mod connect;
mod forward;
mod headers;
mod link;
mod target;

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::stream::{Peer, Stream};
use super::{ProxyContext, limits, tunnel};
use crate::policy::Target;
use answer::AnswerBody;
use link::Link;

/// One client connection.
struct Session {
    context: Rc<ProxyContext>,
    /// What the connection turns into after the current answer.
    next: RefCell<Option<Next>>,
    /// The upstream connection of the last plain request, for the next one to the same host.
    kept: RefCell<Option<Link>>,
}

/// A connection that stops being HTTP.
enum Next {
    /// CONNECT.
    Tunnel { client: OnUpgrade, upstream: Peer, target: Target },
    /// `101 Switching Protocols`.
    Upgrade { client: OnUpgrade, upstream: OnUpgrade },
}

/// Serves one client until it closes, breaks the protocol, or its tunnel ends.
pub(super) async fn serve(context: Rc<ProxyContext>, client: Stream) {
    let session = Rc::new(Session { context, next: RefCell::new(None), kept: RefCell::new(None) });
    let service = service_fn(|request| {
        let session = session.clone();
        async move { Ok::<_, Infallible>(session.answer(request).await) }
    });
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(limits::REQUEST_HEAD)
        // A client may end its side after the request (`nc -N`), and still wants the answer.
        .half_close(true)
        .max_header_size(limits::HEADER_BLOCK)
        .max_buf_size(limits::HEADER_BLOCK)
        .preserve_header_case(true)
        .auto_date_header(false);
    if server.serve_connection(TokioIo::new(client), service).with_upgrades().await.is_ok() {
        session.kept.take();
        session.go_on().await;
    }
}

impl Session {
    async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        if self.context.token.as_ref().is_some_and(|token| !token.admits(request.headers())) {
            return answer::unauthenticated();
        }
        if request.method() == Method::CONNECT { self.connect(request).await } else { self.forward(request).await }
    }

    /// Runs what the last answer promised.
    async fn go_on(&self) {
        let next = self.next.take();
        match next {
            Some(Next::Tunnel { client, upstream, target }) => {
                if let Some(client) = upgraded(client).await {
                    tunnel::run(&self.context, client, upstream, &target).await;
                }
            }
            Some(Next::Upgrade { client, upstream }) => {
                if let (Some(client), Some(upstream)) = (upgraded(client).await, upgraded(upstream).await) {
                    tunnel::run_opaque(&self.context, client, upstream).await;
                }
            }
            None => {}
        }
    }
}

/// The socket below an HTTP connection, and what hyper had read beyond the head.
async fn upgraded(upgrade: OnUpgrade) -> Option<Peer> {
    let parts = upgrade.await.ok()?.downcast::<TokioIo<Stream>>().ok()?;
    Some(Peer { stream: parts.io.into_inner(), early: parts.read_buf })
}

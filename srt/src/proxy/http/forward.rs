//! Plain requests in absolute form, passed on to the origin or to a parent proxy.

use std::time::Duration;

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION, UPGRADE};
use hyper::{Request, Response, StatusCode, Uri, Version};

use super::answer::{self, AnswerBody};
use super::link::Link;
use super::target::{self, Unusable};
use super::{Next, Session, headers};
use crate::policy::Target;
use crate::proxy::denial::{Attempt, Seen};
use crate::proxy::dial::DialError;
use crate::violation::Kind;

/// For the last answer on a kept connection to be through; it already was, as far as the client is concerned.
const SETTLE: Duration = Duration::from_millis(100);

impl Session {
    /// Every request is judged, also the tenth on one connection.
    pub(super) async fn forward(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let method = request.method().clone();
        let attempt = Attempt { kind: Kind::NetHttp, operation: method.as_str(), seen: Seen::Proxy };
        let target = match target::of_request(&request) {
            Ok(target) => target,
            Err(Unusable::Cause(cause)) => return answer::bad_request(cause),
            Err(Unusable::Malformed(text)) => {
                attempt.refuse_builtin(&self.context, &text, "malformed", "malformed host");
                return answer::bad_request("host or port of the URL are malformed");
            }
        };
        if let Err(denial) = self.context.judge(attempt, &target).await {
            return answer::denied(&denial);
        }
        if !target::host_header_agrees(request.headers(), &target) {
            let reason = "the Host header is not the host of the URL";
            return answer::misdirected(&attempt.refuse_builtin(&self.context, &target.to_string(), "host-header", reason));
        }
        match self.pass_on(request, &target).await {
            Ok(response) => response,
            Err(DialError::Refused(class)) => answer::denied(&attempt.refuse_address(&self.context, &target, class)),
            Err(error) => answer::dial_failed(&target, &error),
        }
    }

    async fn pass_on(&self, mut request: Request<Incoming>, target: &Target) -> Result<Response<AnswerBody>, DialError> {
        let client = hyper::upgrade::on(&mut request);
        let upgrade = headers::wanted_upgrade(request.headers());
        let link = match self.kept_link(target).await {
            Some(link) => link,
            None => Link::open(&self.context, target).await?,
        };
        let request = outgoing(request, &link, upgrade)?;
        let (link, mut response) = self.send(link, request).await?;
        let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if switching {
            let upstream = hyper::upgrade::on(&mut response);
            self.next.replace(Some(Next::Upgrade { client, upstream }));
        } else {
            self.kept.replace(Some(link));
        }
        Ok(incoming(response, switching, &self.context.policy().strip_response_headers))
    }

    /// The connection of the last request, if it leads to the same place and is free.
    async fn kept_link(&self, target: &Target) -> Option<Link> {
        let mut link = self.kept.take().filter(|link| link.target == *target && !link.sender.is_closed())?;
        tokio::time::timeout(SETTLE, link.sender.ready()).await.ok()?.ok()?;
        Some(link)
    }

    /// Sends the request; once more, on a new connection, where the kept one closed before it took the request.
    async fn send(&self, mut link: Link, request: Request<Incoming>) -> Result<(Link, Response<Incoming>), DialError> {
        let broke = |error: hyper::Error| DialError::Connect(std::io::Error::other(error));
        let upgradable = request.headers().contains_key(UPGRADE);
        let response = match link.sender.try_send_request(request).await {
            Ok(response) => response,
            Err(mut failure) => match failure.take_message() {
                Some(request) => {
                    link = Link::open(&self.context, &link.target).await?;
                    link.sender.send_request(request).await.map_err(broke)?
                }
                None => return Err(broke(failure.into_error())),
            },
        };
        match response.status() {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED if link.to_proxy => Err(DialError::Parent("refused our credentials".into())),
            StatusCode::SWITCHING_PROTOCOLS if !upgradable => Err(DialError::Connect(std::io::ErrorKind::InvalidData.into())),
            _ => Ok((link, response)),
        }
    }
}

/// The request as upstream gets it: destination and Host from the checked target, nothing of this hop.
fn outgoing(mut request: Request<Incoming>, link: &Link, upgrade: Option<HeaderValue>) -> Result<Request<Incoming>, DialError> {
    let unusable = || DialError::Connect(std::io::ErrorKind::InvalidInput.into());
    let host = target::host_header(&link.target);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri = if link.to_proxy { format!("http://{host}{path}") } else { path.to_owned() };
    *request.uri_mut() = Uri::try_from(uri).map_err(|_| unusable())?;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    headers::remove_hop_by_hop(headers);
    headers.insert(HOST, HeaderValue::try_from(host).map_err(|_| unusable())?);
    if let Some(protocol) = upgrade {
        headers::set_upgrade(headers, protocol);
    }
    if let Some(authorization) = &link.authorization {
        headers.insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    Ok(request)
}

/// The answer as the client gets it.
fn incoming(mut response: Response<Incoming>, switching: bool, stripped: &[crate::policy::Located<String>]) -> Response<AnswerBody> {
    let protocol = response.headers().get(UPGRADE).cloned().filter(|_| switching);
    *response.version_mut() = Version::HTTP_11;
    headers::remove_hop_by_hop(response.headers_mut());
    headers::strip(response.headers_mut(), stripped);
    if let Some(protocol) = protocol {
        headers::set_upgrade(response.headers_mut(), protocol);
    }
    response.map(Either::Left)
}

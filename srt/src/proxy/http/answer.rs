//! Answers that the proxy itself gives: short texts that a person or an agent can act on.

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, PROXY_AUTHENTICATE};
use hyper::{Response, StatusCode};

use crate::policy::Target;
use crate::proxy::denial::{Check, Denial};
use crate::proxy::dial::DialError;

/// A body from upstream, or our own words.
pub(super) type AnswerBody = Either<Incoming, Full<Bytes>>;

/// The header by which clients tell our refusals from a server's.
const X_PROXY_ERROR: &str = "x-proxy-error";

/// Longest reason phrase, in characters.
const MAX_PHRASE: usize = 200;

/// An answer with a text.
pub(super) fn text(status: StatusCode, text: String) -> Response<AnswerBody> {
    let mut answer = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// An answer without a body: the tunnel is open.
pub(super) fn tunnel_open() -> Response<AnswerBody> {
    Response::new(Either::Right(Full::default()))
}

/// The request makes no sense to a proxy. The connection is closed: what follows may make no sense either.
pub(super) fn bad_request(cause: &str) -> Response<AnswerBody> {
    let mut answer = text(StatusCode::BAD_REQUEST, format!("{cause}\n"));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Whoever asks has not the token of this run, and is told nothing more. The connection is closed: it is no place to try on.
pub(super) fn unauthenticated() -> Response<AnswerBody> {
    let mut answer = text(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "this proxy serves one sandbox only\n".to_owned());
    answer.headers_mut().insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"srt\""));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Refused by policy.
pub(super) fn denied(denial: &Denial) -> Response<AnswerBody> {
    refusal(StatusCode::FORBIDDEN, denial)
}

/// The request names two hosts (RFC 9110 section 15.5.20).
pub(super) fn misdirected(denial: &Denial) -> Response<AnswerBody> {
    refusal(StatusCode::MISDIRECTED_REQUEST, denial)
}

fn refusal(status: StatusCode, denial: &Denial) -> Response<AnswerBody> {
    let (code, headline) = match denial.check {
        Check::Allowlist => ("blocked-by-allowlist", "Connection blocked by network allowlist"),
        Check::Runtime => ("blocked-by-sandbox-runtime", "Connection blocked by sandbox runtime"),
    };
    let mut answer = text(status, format!("{headline}\n{}\n", denial.reason));
    answer.headers_mut().insert(X_PROXY_ERROR, HeaderValue::from_static(code));
    answer
}

/// Upstream could not be reached, was too slow, or broke off.
pub(super) fn dial_failed(target: &Target, error: &DialError) -> Response<AnswerBody> {
    text(StatusCode::BAD_GATEWAY, format!("cannot reach {target}: {error}\n"))
}

/// Clients show the status line of a failed CONNECT and drop its body, so the reason goes there too.
pub(super) fn with_reason_phrase(mut answer: Response<AnswerBody>, denial: &Denial) -> Response<AnswerBody> {
    let shown = |character: char| if matches!(character, ' '..='~') { character } else { '?' };
    let phrase: String = denial.reason.chars().take(MAX_PHRASE).map(shown).collect();
    if let Ok(phrase) = ReasonPhrase::try_from(phrase) {
        answer.extensions_mut().insert(phrase);
    }
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

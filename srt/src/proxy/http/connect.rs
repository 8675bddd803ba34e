//! CONNECT: a tunnel to an allowed host and port.

use hyper::body::{Body, Incoming};
use hyper::{Request, Response};

use super::answer::{self, AnswerBody};
use super::target::{self, Unusable};
use super::{Next, Session};
use crate::policy::Target;
use crate::proxy::denial::{Attempt, Denial, Seen};
use crate::proxy::dial::DialError;
use crate::proxy::route;
use crate::violation::Kind;

const ATTEMPT: Attempt<'static> = Attempt { kind: Kind::NetConnect, operation: "CONNECT", seen: Seen::Proxy };

impl Session {
    /// Answers when the tunnel is open or cannot be; the bytes after it are relayed once hyper has let go of the connection.
    pub(super) async fn connect(&self, mut request: Request<Incoming>) -> Response<AnswerBody> {
        // RFC 9110 section 9.3.6 gives content of CONNECT no meaning; a length would make two readers disagree on where the tunnel begins.
        if !request.body().is_end_stream() {
            return answer::bad_request("CONNECT takes no content");
        }
        let target = match target::of_connect(request.uri()) {
            Ok(target) => target,
            Err(Unusable::Cause(cause)) => return answer::bad_request(cause),
            Err(Unusable::Malformed(text)) => return self.malformed_connect(&text),
        };
        if let Err(denial) = self.context.judge(ATTEMPT, &target).await {
            return refused(&denial);
        }
        match route::open_tunnel(&self.context, &target).await {
            Ok(upstream) => {
                let client = hyper::upgrade::on(&mut request);
                self.next.replace(Some(Next::Tunnel { client, upstream, target }));
                answer::tunnel_open()
            }
            Err(error) => self.not_opened(&target, &error),
        }
    }

    fn not_opened(&self, target: &Target, error: &DialError) -> Response<AnswerBody> {
        match error {
            DialError::Refused(class) => refused(&ATTEMPT.refuse_address(&self.context, target, *class)),
            _ => answer::dial_failed(target, error),
        }
    }

    fn malformed_connect(&self, text: &str) -> Response<AnswerBody> {
        ATTEMPT.refuse_builtin(&self.context, text, "malformed", "malformed host");
        answer::bad_request("CONNECT needs host:port, with a port from 1 to 65535")
    }
}

fn refused(denial: &Denial) -> Response<AnswerBody> {
    answer::with_reason_phrase(answer::denied(denial), denial)
}

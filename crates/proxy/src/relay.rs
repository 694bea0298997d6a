//! The answer of an upstream, as its caller gets it.

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderName, Response, StatusCode, Version};
use hyper::body::Incoming;
use keystile_core::problem::Problem;
use keystile_core::refusal::Reason;

use crate::body::answer::AnswerBody;
use crate::caller::connection::UnderWay;
use crate::own_answer::{self, Connection};
use crate::upstream::Lease;
use crate::websocket::Switch;

pub(crate) type Answer = Response<AnswerBody>;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Makes the answer that the caller gets of the upstream's.
pub(crate) fn deliver(
    mut response: Response<Incoming>,
    lease: Lease,
    upgrade: Option<Switch>,
    under_way: Option<UnderWay>,
) -> Answer {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(switch) = upgrade else {
            let problem = Problem::new(Reason::UpstreamFailed.into(), "");
            return own_answer::problem(&problem, Connection::Stays).map(AnswerBody::held);
        };
        let upstream = hyper::upgrade::on(&mut response);
        tokio::task::spawn_local(switch.run(upstream, under_way));
        let (parts, _) = response.into_parts();
        return Response::from_parts(parts, AnswerBody::held(Bytes::new()));
    }
    let headers = response.headers_mut();
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, UPGRADE] {
        headers.remove(name);
    }
    *response.version_mut() = Version::HTTP_11;
    response.map(|incoming| {
        let body = AnswerBody::upstream(incoming, Some(lease));
        match under_way {
            Some(under_way) => body.of(under_way),
            None => body,
        }
    })
}

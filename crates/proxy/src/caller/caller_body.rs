//! A caller's request body, and what becomes of one that nobody reads to its end.
//!
//! A request is often answered before its body has come: because it is refused, or because the upstream
//! did not wait. Over HTTP/1 the connection then ends, see `linger`. Over HTTP/2 the stream would be
//! reset, and many clients that are still sending drop the answer with it, or wait for a window that
//! nobody opens. So the rest is read and thrown away, within bounds; what comes after those is
//! reset with `NO_ERROR` (RFC 9113 section 8.1).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use keystile_core::refusal::Reason;
use keystile_core::time::Span;
use tokio::time::timeout;

/// How long, and how much, a caller may go on sending what nobody needs, and for how long nothing.
const REST_TIME_MAX: Duration = Duration::from_secs(30);
const REST_BYTES_MAX: u64 = 1 << 30;
const REST_PAUSE: Duration = Duration::from_secs(5);

/// A request body as it comes from a caller.
#[derive(Debug)]
pub(crate) struct CallerBody {
    /// There until it is dropped.
    incoming: Option<Incoming>,
    version: Version,
}

impl CallerBody {
    pub(crate) fn new(incoming: Incoming, version: Version) -> Self {
        Self { incoming: Some(incoming), version }
    }

    /// Whether bytes may come though the head states that there are none. Over HTTP/2 the frames
    /// tell where a body ends, and the length is one more reading; over HTTP/1 the length decides.
    pub(crate) fn may_belie_its_length(&self, parts: &Parts) -> bool {
        let states_none = || {
            parts
                .headers
                .get(CONTENT_LENGTH)
                .is_some_and(|length| length.as_bytes().iter().all(|digit| *digit == b'0'))
        };
        self.version == Version::HTTP_2 && !self.is_end_stream() && states_none()
    }

    /// Waits for the end of a body that is stated to be empty.
    pub(crate) async fn hold_to_nothing(mut self, wait: Span) -> Result<Self, Reason> {
        let ended = async {
            while let Some(frame) = self.frame().await {
                match frame.as_ref().map(Frame::data_ref) {
                    Ok(Some(data)) if !data.is_empty() => return Err(Reason::FramingInvalid),
                    Ok(_) => {}
                    Err(_) => return Err(Reason::FramingInvalid),
                }
            }
            Ok(())
        };
        timeout(wait.duration(), ended).await.unwrap_or(Err(Reason::RequestTimeout))?;
        Ok(self)
    }

    fn incoming(&self) -> &Incoming {
        self.incoming.as_ref().expect("the body stays until this is dropped")
    }
}

impl Body for CallerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let incoming = self.incoming.as_mut().expect("the body stays until this is dropped");
        Pin::new(incoming).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming().size_hint()
    }
}

impl Drop for CallerBody {
    fn drop(&mut self) {
        if let Some(rest) = self.incoming.take()
            && self.version == Version::HTTP_2
            && !rest.is_end_stream()
        {
            tokio::task::spawn_local(timeout(REST_TIME_MAX, discard(rest)));
        }
    }
}

async fn discard(mut rest: Incoming) {
    let mut bytes = 0;
    while let Ok(Some(Ok(frame))) = timeout(REST_PAUSE, rest.frame()).await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > REST_BYTES_MAX {
            return;
        }
    }
}

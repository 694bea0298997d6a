//! An answer's body on its way to the caller, of the upstream's or of ours.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::body::request::BodyError;
use crate::buffer::{Held, Outbox};
use crate::caller::connection::{UnderWay, WriteStallTimeout};
use crate::upstream::Lease;

/// Runs once, when it is dropped.
pub(crate) struct AtEnd(Option<Box<dyn FnOnce(u64)>>);

impl AtEnd {
    pub(crate) fn new(act: impl FnOnce(u64) + 'static) -> Self {
        Self(Some(Box::new(act)))
    }
}

/// An answer's body.
pub(crate) struct AnswerBody {
    source: Source,
    /// Holds the upstream connection until the body has ended, when that can serve the next request.
    lease: Option<Lease>,
    under_way: Option<UnderWay>,
    patience: Option<WriteStallTimeout>,
    /// Counts what has come of it and is not written yet.
    outbox: Option<Arc<Outbox>>,
    bytes: u64,
    at_end: Option<AtEnd>,
}

enum Source {
    Held(Option<Bytes>),
    Upstream(Incoming),
}

impl AnswerBody {
    /// A body that is in memory.
    pub(crate) fn held(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(Source::Held((!bytes.is_empty()).then_some(bytes)), None)
    }

    /// The body of an upstream's answer.
    pub(crate) fn upstream(incoming: Incoming, lease: Option<Lease>) -> Self {
        Self::new(Source::Upstream(incoming), lease)
    }

    fn new(source: Source, lease: Option<Lease>) -> Self {
        Self {
            source,
            lease,
            under_way: None,
            patience: None,
            outbox: None,
            bytes: 0,
            at_end: None,
        }
    }

    /// Ends the request when the answer has gone out.
    pub(crate) fn of(mut self, under_way: UnderWay) -> Self {
        self.patience = under_way.patience();
        self.patience.iter().for_each(WriteStallTimeout::begin);
        self.outbox = Some(under_way.outbox());
        self.under_way = Some(under_way);
        self
    }

    /// Does something with the number of bytes once the body has ended or was given up.
    pub(crate) fn then(mut self, at_end: AtEnd) -> Self {
        self.at_end = Some(at_end);
        self
    }

    fn end(&mut self) {
        self.under_way = None;
        self.patience = None;
        if let Some(act) = self.at_end.take().and_then(|mut at_end| at_end.0.take()) {
            act(self.bytes);
        }
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for AnswerBody {
    type Data = Held;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Held>, BodyError>>> {
        self.patience.iter().for_each(WriteStallTimeout::end);
        let is_too_late = self.lease.as_ref().is_some_and(|lease| lease.is_too_late(context));
        let this = &mut *self;
        let frame = match &mut this.source {
            Source::Held(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes.into()))),
            Source::Upstream(_) if is_too_late => Some(Err(BodyError::UpstreamTooSlow)),
            Source::Upstream(incoming) => {
                if let Some(outbox) = &this.outbox
                    && outbox.poll_room(context).is_pending()
                {
                    // What is held waits for the caller.
                    this.patience.iter().for_each(WriteStallTimeout::begin);
                    return Poll::Pending;
                }
                let hold = |bytes| match &this.outbox {
                    Some(outbox) => outbox.hold(bytes),
                    None => Held::from(bytes),
                };
                ready!(Pin::new(incoming).poll_frame(context)).map(|frame| {
                    frame.map(|frame| frame.map_data(hold)).map_err(BodyError::Upstream)
                })
            }
        };
        match frame {
            Some(Ok(frame)) => {
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.is_end_stream() {
                    self.end();
                }
                self.patience.iter().for_each(WriteStallTimeout::begin);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.lease = None;
                self.end();
                Poll::Ready(Some(Err(error)))
            }
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Held(bytes) => bytes.is_none(),
            Source::Upstream(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Held(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Upstream(incoming) => incoming.size_hint(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        // Given up in the middle: the rest of the upstream's answer would come first on its connection.
        if !self.is_end_stream() {
            self.lease = None;
        }
        self.end();
    }
}

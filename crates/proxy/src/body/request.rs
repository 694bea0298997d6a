//! A request's body on its way to an upstream: streamed or held, counted, and kept to a pace.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use keystile_core::refusal::Reason;
use keystile_core::request::grammar::strip_untrusted;
use keystile_core::time::Span;

use crate::buffer::Held;
use crate::caller::caller_body::CallerBody;
use crate::caller::connection::Progress;
use crate::deadline::{Deadline, Deadlines};

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the caller's body broke off")]
    Caller(#[source] hyper::Error),
    #[error("the caller's body was refused: {0}")]
    Refused(Reason),
    #[error("the caller's body was answered before its end")]
    Answered(#[source] h2::Error),
    #[error("the upstream's body did not end in time")]
    UpstreamTooSlow,
    #[error("the upstream's body broke off")]
    Upstream(#[source] hyper::Error),
}

/// How far a request's body has come; kept by whoever waits for the answer.
#[derive(Debug, Default)]
pub(crate) struct BodyProgress {
    pub(crate) bytes: Cell<u64>,
    pub(crate) has_ended: Cell<bool>,
    /// Why the gate broke it off.
    pub(crate) refused: Cell<Option<Reason>>,
    /// Whether nobody needs the rest, and who is to be told then.
    is_given_up: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl BodyProgress {
    /// That of a body that is in memory.
    pub(crate) fn whole(bytes: u64) -> Self {
        Self { bytes: Cell::new(bytes), has_ended: Cell::new(true), ..Self::default() }
    }

    /// Nobody needs the rest of it: the answer has come to its end.
    pub(crate) fn give_up(&self) {
        self.is_given_up.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// What a request's body must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) bytes_max: Option<u64>,
    pub(crate) idle_timeout: Span,
    pub(crate) rate_min: u32,
    /// How long the upstream may take once the body has ended.
    pub(crate) first_byte_timeout: Span,
    /// When the whole exchange must have an answer, on the core's clock.
    pub(crate) total_end: Option<u64>,
}

impl Pace {
    /// From now on the upstream has to answer.
    pub(crate) fn await_answer(&self, deadlines: &Deadlines, deadline: &Deadline) {
        deadline.set(deadlines, self.first_byte_timeout);
        self.end_in_time(deadline);
    }

    fn end_in_time(&self, deadline: &Deadline) {
        if let Some(end) = self.total_end {
            deadline.set_earlier_at(end);
        }
    }
}

/// A request body on its way to an upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Empty,
    /// Was held in memory to be counted.
    Held(Option<Held>),
    Streamed(Box<StreamedBody>),
}

/// A request body that is forwarded as it comes.
#[derive(Debug)]
pub(crate) struct StreamedBody {
    pub(crate) incoming: CallerBody,
    pub(crate) connection: Arc<Progress>,
    pub(crate) progress: Rc<BodyProgress>,
    pub(crate) deadlines: Arc<Deadlines>,
    /// The exchange's: bounds the wait for bytes here, for the answer's head afterwards.
    pub(crate) deadline: Arc<Deadline>,
    pub(crate) pace: Pace,
    pub(crate) began: u64,
}

/// What a body that cannot be read to its end is refused for: the parser calls malformed chunks invalid,
/// and anything else means that the rest did not come.
pub(crate) fn caller_fault(error: &hyper::Error) -> Reason {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Reason::FramingInvalid,
        Some(_) | None => Reason::RequestTimeout,
    }
}

/// A body may be slow for so long before its rate is looked at.
const RATE_GRACE_MILLIS: u64 = 10_000;

impl StreamedBody {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.progress.is_given_up.get() {
            let error = BodyError::Answered(h2::Reason::CANCEL.into());
            return Poll::Ready(Some(Err(error)));
        }
        let Poll::Ready(polled) = Pin::new(&mut self.incoming).poll_frame(context) else {
            *self.progress.waker.borrow_mut() = Some(context.waker().clone());
            self.deadline.set(&self.deadlines, self.pace.idle_timeout);
            self.pace.end_in_time(&self.deadline);
            return Poll::Pending;
        };
        match polled {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    strip_untrusted(trailers);
                }
                // The upstream may now be slow to take it, which is its own affair for a while.
                self.pace.await_answer(&self.deadlines, &self.deadline);
                if let Some(data) = frame.data_ref() {
                    self.progress.bytes.set(self.progress.bytes.get() + data.len() as u64);
                }
                if let Some(reason) = self.fault() {
                    self.progress.refused.set(Some(reason));
                    Poll::Ready(Some(Err(BodyError::Refused(reason))))
                } else {
                    if self.incoming.is_end_stream() {
                        self.end();
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
            }
            Some(Err(error)) => {
                self.progress.refused.set(Some(caller_fault(&error)));
                Poll::Ready(Some(Err(BodyError::Caller(error))))
            }
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }

    fn end(&self) {
        self.progress.has_ended.set(true);
        self.connection.end_body();
        self.pace.await_answer(&self.deadlines, &self.deadline);
    }

    fn fault(&self) -> Option<Reason> {
        let bytes = self.progress.bytes.get();
        if self.pace.bytes_max.is_some_and(|max| bytes > max) {
            return Some(Reason::BodyTooLarge);
        }
        let millis = self.deadlines.now().saturating_sub(self.began);
        let is_slow =
            millis > RATE_GRACE_MILLIS && bytes * 1000 < u64::from(self.pace.rate_min) * millis;
        is_slow.then_some(Reason::RequestTimeout)
    }
}

impl Body for RequestBody {
    type Data = Held;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Held>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Held(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed(body) => body.poll(context).map_ok(|frame| frame.map_data(Held::from)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Held(None) => true,
            Self::Held(Some(_)) => false,
            Self::Streamed(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Held(None) => SizeHint::with_exact(0),
            Self::Held(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Self::Streamed(body) => body.incoming.size_hint(),
        }
    }
}

//! Ways in which a network or a portal fails.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};

/// What happens to an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Another answer, without looking at the request.
    Answer {
        /// Its status.
        status: u16,
        /// Its header fields.
        fields: Vec<(&'static str, String)>,
        /// Its body.
        body: String,
    },
    /// The right answer, that much later.
    Slow(Duration),
    /// The answer that is right now, that much later, when it may not be right any more.
    Stale(Duration),
    /// The request is carried out, and the connection ends in the middle of the answer's body.
    CutBody,
    /// The request is carried out, and the connection ends before the answer.
    CutHead,
    /// A list in JSON that never ends.
    EndlessBody,
}

impl Fault {
    /// A status with a JSON body.
    pub fn json(status: u16, body: &str) -> Self {
        Self::of(status, &[("content-type", "application/json; charset=utf-8")], body)
    }

    /// A web page, as one gets for a wrong address.
    pub fn web_page(status: u16) -> Self {
        let body = "<!DOCTYPE html><html><title>Sign in</title><body>Sign in</body></html>";
        Self::of(status, &[("content-type", "text/html; charset=utf-8")], body)
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self::of(302, &[("location", to)], "")
    }

    /// Too many requests. `retry_after` is the field's value.
    pub fn rate_limited(retry_after: Option<&str>) -> Self {
        let field = retry_after.map(|value| ("retry-after", value));
        Self::of(429, field.as_slice(), "")
    }

    /// Any status, header fields and body.
    pub fn of(status: u16, fields: &[(&'static str, &str)], body: &str) -> Self {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Self::Answer { status, fields: fields.collect(), body: body.to_owned() }
    }
}

/// A body that comes in pieces, and how it ends.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    Whole(Option<Bytes>),
    /// A first piece of more that was announced, and then nothing.
    Cut(Option<Bytes>),
    Endless(Option<Bytes>),
}

/// A body that breaks off.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body breaks off")
    }
}

impl std::error::Error for BrokenOff {}

impl AnswerBody {
    pub(crate) fn whole(text: impl Into<Bytes>) -> Self {
        Self::Whole(Some(text.into()))
    }

    pub(crate) fn endless() -> Self {
        Self::Endless(Some(Bytes::from_static(br#"{"services":["#)))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        Poll::Ready(match self.get_mut() {
            Self::Whole(piece) => piece.take().map(|piece| Ok(Frame::data(piece))),
            Self::Cut(piece) => Some(piece.take().map(Frame::data).ok_or(BrokenOff)),
            Self::Endless(first) => {
                let piece = first.take().unwrap_or_else(|| vec![b' '; 64 * 1024].into());
                Some(Ok(Frame::data(piece)))
            }
        })
    }
}

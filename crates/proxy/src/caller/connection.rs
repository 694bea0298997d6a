//! A caller's connection: its bytes on the way to the HTTP parser, and how long it may take.
//!
//! # What this protects
//!
//! The parser is lenient where two servers could disagree: it takes a bare line feed for a line's end,
//! drops Content-Length beside Transfer-Encoding, merges equal lengths, and cuts a fragment from
//! the target. What it repairs is forwarded in one clear form, so nothing can be smuggled; still,
//! such heads are refused, and for that they are looked at here as they come in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::request::Parts;
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::time::Span;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::{Buffers, Outbox};
use crate::caller::connection_limiter::ConnectionPermit;
use crate::caller::linger::{Rest, Returning, Stream};
use crate::caller::scan::Scan;
use crate::caller::stream_limit::{Place, Requests, Share};
use crate::deadline::{Deadline, Deadlines, locked};
use crate::own_answer;
use crate::settings::GateSettings;

/// Nothing is under way.
const IDLE: u8 = 0;
/// Some of a head has come.
const HEAD: u8 = 1;
/// A request is under way; its body may be coming.
const EXCHANGE: u8 = 2;
/// What comes cannot be told apart any more: a body that nobody read, or another protocol.
const OPAQUE: u8 = 3;

/// What may still come where some of a head or body is missing, where that is not known (over HTTP/2,
/// bodies are read to their end before), and where nothing is.
const REST_OF_MESSAGE: Rest = Rest { bytes_max: 1 << 30, pause: Duration::from_secs(5) };
const REST_OF_OPAQUE: Rest = Rest { bytes_max: 1 << 20, pause: Duration::from_secs(1) };
const REST_OF_IDLE: Rest = Rest { bytes_max: 64 << 10, pause: Duration::from_millis(50) };

/// What the gate knows of a connection, shared by its bytes and its requests.
#[derive(Debug)]
pub(crate) struct Progress {
    deadlines: Arc<Deadlines>,
    pub(crate) deadline: Arc<Deadline>,
    /// That of the request under way; over HTTP/2 each has its own.
    exchange: Arc<Deadline>,
    head_timeout: Span,
    idle_timeout: Span,
    phase: AtomicU8,
    /// Requests under way; more than one only over HTTP/2.
    under_way: AtomicU32,
    scan: Mutex<Scan>,
    /// Kept for as long as anything of the connection is: an upgraded one, or a write whose caller has gone.
    _counted: ConnectionPermit,
    outbox: Arc<Outbox>,
    requests: Arc<Requests>,
}

/// A request of the connection, until its answer has gone out or was given up.
#[derive(Debug)]
pub(crate) struct UnderWay {
    progress: Arc<Progress>,
    place: Option<Place>,
}

impl UnderWay {
    /// What is held of its connection's answers.
    pub(crate) fn outbox(&self) -> Arc<Outbox> {
        self.progress.outbox.clone()
    }

    /// Takes a place for it, which is needed over HTTP/2; waits for one for as long as for a head.
    pub(crate) async fn enter(&mut self, parts: &Parts) -> Result<(), Refusal> {
        let progress = &self.progress;
        if progress.phase() != OPAQUE || self.place.is_some() {
            return Ok(());
        }
        self.place = progress.requests.try_enter(parts);
        if self.place.is_none() {
            let enter = Box::pin(progress.requests.enter(parts));
            let entered = progress.deadlines.within(progress.head_timeout, enter).await;
            let overloaded = || Refusal::new(Reason::Overloaded).retry_after_secs(1);
            self.place = Some(entered.and_then(Result::ok).ok_or_else(overloaded)?);
        }
        Ok(())
    }

    /// How long the caller has to take more of an answer. Over HTTP/2 one can stop an answer by flow
    /// control while the socket stays writable, so each answer has such a deadline; over HTTP/1 the
    /// blocked socket tells.
    pub(crate) fn patience(&self) -> Option<WriteStallTimeout> {
        let progress = &self.progress;
        let is_opaque = progress.phase() == OPAQUE;
        is_opaque.then(|| WriteStallTimeout {
            deadline: progress.deadlines.watch_with(Some(progress.deadline.clone())),
            progress: progress.clone(),
        })
    }
}

/// Ends a connection whose caller does not take what is sent to it.
#[derive(Debug)]
pub(crate) struct WriteStallTimeout {
    deadline: Arc<Deadline>,
    progress: Arc<Progress>,
}

impl WriteStallTimeout {
    /// The caller has to take something.
    pub(crate) fn begin(&self) {
        self.deadline.set(&self.progress.deadlines, self.progress.idle_timeout);
        self.deadline.hurry(&self.progress.deadlines);
    }

    /// The caller waits for more.
    pub(crate) fn end(&self) {
        self.deadline.lift();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.progress.end_request();
    }
}

impl Progress {
    pub(crate) fn new(
        deadlines: Arc<Deadlines>,
        settings: &GateSettings,
        counted: ConnectionPermit,
        buffers: &Arc<Buffers>,
    ) -> Arc<Self> {
        let GateSettings { head_timeout, idle_timeout, .. } = *settings;
        let deadline = deadlines.watch();
        deadline.set(&deadlines, head_timeout);
        Arc::new(Self {
            exchange: deadlines.watch(),
            deadlines,
            deadline,
            head_timeout,
            idle_timeout,
            phase: AtomicU8::new(IDLE),
            under_way: AtomicU32::new(0),
            scan: Mutex::default(),
            _counted: counted,
            outbox: Outbox::new(buffers.clone()),
            requests: Requests::new(buffers.places.clone()),
        })
    }

    /// What is held of its answers.
    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    fn requests_under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// What the caller may still be sending, once HTTP has done with the connection.
    pub(crate) fn rest(&self) -> Rest {
        match self.phase() {
            IDLE => REST_OF_IDLE,
            OPAQUE => REST_OF_OPAQUE,
            _ => REST_OF_MESSAGE,
        }
    }

    /// The connection speaks something that has no HTTP/1 heads. Its heads cannot be told from other bytes,
    /// so while no request is under way nothing extends its deadline.
    pub(crate) fn set_opaque(&self) -> Share {
        self.phase.store(OPAQUE, Ordering::Relaxed);
        self.deadline.set(&self.deadlines, self.idle_timeout);
        self.requests.join()
    }

    /// A request's head is complete.
    pub(crate) fn begin_request(self: &Arc<Self>) -> UnderWay {
        self.under_way.store(self.requests_under_way() + 1, Ordering::Relaxed);
        self.deadline.lift();
        if self.phase() != OPAQUE {
            self.phase.store(EXCHANGE, Ordering::Relaxed);
        }
        UnderWay { progress: self.clone(), place: None }
    }

    /// A deadline for the request that has just begun.
    pub(crate) fn exchange_deadline(&self) -> Arc<Deadline> {
        if self.phase() == OPAQUE {
            return self.deadlines.watch();
        }
        self.exchange.renew();
        self.exchange.clone()
    }

    /// What is wrong with the framing of the next head, which the parser repaired. Asked once for each
    /// request of an HTTP/1 connection, in order.
    pub(crate) fn head_fault(&self) -> Option<Refusal> {
        locked(&self.scan).next_fault()
    }

    /// What is wrong with a head that the parser refused.
    pub(crate) fn unread_fault(&self) -> Refusal {
        locked(&self.scan).unread_fault()
    }

    /// The body of the request has come in whole: the next bytes begin a head.
    pub(crate) fn end_body(&self) {
        if self.phase() == EXCHANGE {
            self.phase.store(IDLE, Ordering::Relaxed);
        }
    }

    fn end_request(&self) {
        let left = self.requests_under_way().saturating_sub(1);
        self.under_way.store(left, Ordering::Relaxed);
        if left == 0 {
            self.deadline.set(&self.deadlines, self.idle_timeout);
        }
    }

    fn note_read(&self, bytes: &[u8]) {
        let phase = self.phase();
        if phase == OPAQUE || bytes.is_empty() {
            return;
        }
        if phase == IDLE {
            self.phase.store(HEAD, Ordering::Relaxed);
            if self.requests_under_way() == 0 {
                self.deadline.set(&self.deadlines, self.head_timeout);
            }
        }
        locked(&self.scan).read(bytes);
    }

    /// A peer that does not take what is sent to it has as long as one that says nothing.
    fn note_write(&self, is_blocked: bool) {
        if is_blocked {
            self.deadline.set_earlier(&self.deadlines, self.idle_timeout);
            if self.phase() == OPAQUE {
                self.deadline.hurry(&self.deadlines);
            }
        } else if self.requests_under_way() > 0 {
            self.deadline.lift();
        } else {
            self.deadline.unhurry();
        }
    }
}

/// A connection's bytes, watched on their way.
///
/// What the parser refuses it answers itself, without a body. Such an answer goes out as problem details,
/// like every other refusal.
pub(crate) struct InspectedIo<S: Stream + 'static> {
    /// There until it is dropped.
    stream: Option<S>,
    returning: Returning,
    progress: Arc<Progress>,
    /// What is yet to be written instead of the parser's own answer.
    refusal: Bytes,
}

impl<S: Stream + 'static> Drop for InspectedIo<S> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.returning.give_back(stream);
        }
    }
}

impl<S: Stream + 'static> InspectedIo<S> {
    pub(crate) fn new(stream: S, progress: Arc<Progress>, returning: Returning) -> Self {
        Self { stream: Some(stream), returning, progress, refusal: Bytes::new() }
    }

    fn stream(&mut self) -> Pin<&mut S> {
        Pin::new(self.stream.as_mut().expect("the stream stays until this is dropped"))
    }

    /// Takes the parser's own answer, to a head that never became a request.
    fn takes(&mut self, bytes: &[u8]) -> bool {
        if self.progress.phase() != HEAD || self.progress.requests_under_way() > 0 {
            return false;
        }
        let Some(reason) = own_answer::bare_refusal(bytes) else {
            return false;
        };
        let refusal = match reason {
            Reason::FramingInvalid => self.progress.unread_fault(),
            other => other.into(),
        };
        self.refusal = own_answer::as_bytes(&refusal);
        true
    }

    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.refusal.has_remaining() {
            let refusal = self.refusal.clone();
            let written = ready!(self.stream().poll_write(context, &refusal))?;
            self.refusal.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream + 'static> AsyncRead for InspectedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.stream().poll_read(context, buf))?;
        self.progress.note_read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream + 'static> AsyncWrite for InspectedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.takes(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = self.stream().poll_write(context, buf);
        self.progress.note_write(written.is_pending());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        self.stream().poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [head] = bufs
            && self.takes(head)
        {
            return Poll::Ready(Ok(head.len()));
        }
        let written = self.stream().poll_write_vectored(context, bufs);
        self.progress.note_write(written.is_pending());
        written
    }
}

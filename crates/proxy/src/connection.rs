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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use keystile_core::time::Span;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::deadline::{Deadline, Deadlines};

/// Nothing is under way.
const IDLE: u8 = 0;
/// Some of a head has come.
const HEAD: u8 = 1;
/// A request is under way; its body may be coming.
const EXCHANGE: u8 = 2;
/// What comes cannot be told apart any more: a body that nobody read, or another protocol.
const OPAQUE: u8 = 3;

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
    has_faulty_head: AtomicBool,
}

/// What was seen of the present head.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the bytes so far"
)]
#[derive(Clone, Copy, Debug, Default)]
struct HeadScan {
    line_bytes: usize,
    /// The first bytes of the present line, lower case: enough to know the two framing fields.
    line_start: [u8; 18],
    ends_in_cr: bool,
    is_past_first_line: bool,
    lengths: u8,
    codings: u8,
    is_faulty: bool,
    is_complete: bool,
}

/// A request of the connection, until its answer has gone out or was given up.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Progress>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

impl Progress {
    pub(crate) fn new(
        deadlines: Arc<Deadlines>,
        head_timeout: Span,
        idle_timeout: Span,
    ) -> Arc<Self> {
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
            has_faulty_head: AtomicBool::new(false),
        })
    }

    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    fn requests_under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// The connection speaks something that has no HTTP/1 heads.
    pub(crate) fn set_opaque(&self) {
        self.phase.store(OPAQUE, Ordering::Relaxed);
    }

    /// A request's head is complete.
    pub(crate) fn begin_request(self: &Arc<Self>) -> UnderWay {
        self.under_way.store(self.requests_under_way() + 1, Ordering::Relaxed);
        self.deadline.lift();
        if self.phase() != OPAQUE {
            self.phase.store(EXCHANGE, Ordering::Relaxed);
        }
        UnderWay(self.clone())
    }

    /// A deadline for the request that has just begun.
    pub(crate) fn exchange_deadline(&self) -> Arc<Deadline> {
        if self.phase() == OPAQUE {
            return self.deadlines.watch();
        }
        self.exchange.renew();
        self.exchange.clone()
    }

    /// Whether the head was framed in a way that the parser repaired.
    pub(crate) fn had_faulty_head(&self) -> bool {
        self.has_faulty_head.load(Ordering::Relaxed)
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

    fn note_read(&self, scan: &mut HeadScan, bytes: &[u8]) {
        match self.phase() {
            IDLE if !bytes.is_empty() => {
                self.phase.store(HEAD, Ordering::Relaxed);
                if self.requests_under_way() == 0 {
                    self.deadline.set(&self.deadlines, self.head_timeout);
                }
                *scan = HeadScan::default();
                self.scan_head(scan, bytes);
            }
            HEAD => self.scan_head(scan, bytes),
            OPAQUE if self.requests_under_way() == 0 => {
                self.deadline.set(&self.deadlines, self.idle_timeout);
            }
            _ => {}
        }
    }

    fn scan_head(&self, scan: &mut HeadScan, bytes: &[u8]) {
        scan.read(bytes);
        self.has_faulty_head.store(scan.is_faulty, Ordering::Relaxed);
    }

    /// A peer that does not take what is sent to it has as long as one that says nothing.
    fn note_write(&self, is_blocked: bool) {
        if is_blocked {
            self.deadline.set_earlier(&self.deadlines, self.idle_timeout);
        } else if self.requests_under_way() > 0 {
            self.deadline.lift();
        }
    }
}

impl HeadScan {
    fn read(&mut self, mut bytes: &[u8]) {
        while !self.is_complete && !bytes.is_empty() {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.extend_line(bytes);
                return;
            };
            self.extend_line(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
    }

    fn extend_line(&mut self, part: &[u8]) {
        if !self.is_past_first_line && memchr::memchr(b'#', part).is_some() {
            self.is_faulty = true;
        }
        if let Some(free) = self.line_start.get_mut(self.line_bytes..) {
            for (kept, byte) in free.iter_mut().zip(part) {
                *kept = byte.to_ascii_lowercase();
            }
        }
        self.line_bytes += part.len();
        if let Some(last) = part.last() {
            self.ends_in_cr = *last == b'\r';
        }
    }

    fn end_line(&mut self) {
        let is_bare = !self.ends_in_cr;
        let text_bytes = self.line_bytes - usize::from(self.ends_in_cr);
        self.is_faulty |= is_bare;
        if text_bytes == 0 {
            // Blank lines before a request line are skipped by parsers (RFC 9112 section 2.2).
            self.is_complete = self.is_past_first_line;
        } else {
            self.is_past_first_line = true;
        }
        self.lengths += u8::from(self.line_start.starts_with(b"content-length:"));
        self.codings += u8::from(self.line_start.starts_with(b"transfer-encoding:"));
        self.is_faulty |= self.lengths + self.codings > 1;
        self.line_bytes = 0;
        self.line_start = [0; 18];
        self.ends_in_cr = false;
    }
}

/// A connection's bytes, watched on their way.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    progress: Arc<Progress>,
    scan: HeadScan,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, progress: Arc<Progress>) -> Self {
        Self { stream, progress, scan: HeadScan::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Self { stream, progress, scan } = &mut *self;
        ready!(Pin::new(stream).poll_read(context, buf))?;
        progress.note_read(scan, &buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, buf);
        self.progress.note_write(written.is_pending());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bufs);
        self.progress.note_write(written.is_pending());
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_faulty(head: &[u8]) -> bool {
        let whole = {
            let mut scan = HeadScan::default();
            scan.read(head);
            scan.is_faulty
        };
        for cut in 0..head.len() {
            let mut scan = HeadScan::default();
            scan.read(&head[..cut]);
            scan.read(&head[cut..]);
            assert_eq!(scan.is_faulty, whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn heads_that_a_parser_would_repair_are_noticed_wherever_they_are_cut() {
        assert!(!is_faulty(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\nb"));
        assert!(is_faulty(b"POST / HTTP/1.1\r\nHost: a\nContent-Length: 3\r\n\r\n"));
        assert!(is_faulty(b"POST / HTTP/1.1\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n"));
        assert!(is_faulty(
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        assert!(is_faulty(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"
        ));
        assert!(is_faulty(b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(!is_faulty(b"\r\nGET /a HTTP/1.1\r\nX-Note: #\r\n\r\n"));
        assert!(is_faulty(b"GET /a HTTP/1.1\n\n"));
    }
}

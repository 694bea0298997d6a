//! Noting when the first byte of a write leaves on an upstream connection: that is when it counts.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use keystile_store::departure::WriteDeparture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::deadline::locked;

/// Who is to be told of the next byte that leaves on a connection. All of it stays on one thread; hyper
/// wants to be able to send an upgraded connection.
#[derive(Debug, Default)]
pub(crate) struct FirstByte {
    is_awaited: AtomicBool,
    departure: Mutex<Option<Arc<WriteDeparture>>>,
}

impl FirstByte {
    /// The next byte is the first of a write, or of a request that nobody counts.
    pub(crate) fn await_next(&self, departure: Option<Arc<WriteDeparture>>) {
        if departure.is_some() || self.is_awaited.load(Ordering::Relaxed) {
            self.is_awaited.store(departure.is_some(), Ordering::Relaxed);
            *locked(&self.departure) = departure;
        }
    }

    fn note(&self) {
        if self.is_awaited.swap(false, Ordering::Relaxed)
            && let Some(departure) = locked(&self.departure).take()
        {
            departure.note();
        }
    }
}

/// A stream that notes its next byte.
#[derive(Debug)]
pub(crate) struct Noting<S> {
    pub(crate) stream: S,
    pub(crate) first_byte: Arc<FirstByte>,
}

impl<S> Noting<S> {
    fn after(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.first_byte.is_awaited.load(Ordering::Relaxed)
            && matches!(written, Poll::Ready(Ok(bytes)) if bytes > 0)
        {
            self.first_byte.note();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, buf);
        self.after(written)
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
        self.after(written)
    }
}

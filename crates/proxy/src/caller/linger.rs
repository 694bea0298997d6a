//! Closing a connection whose caller may still be sending.
//!
//! Whoever closes a socket with unread bytes resets the connection, and a reset makes the other end drop
//! what it has received but not read: the answer. So the sending side ends first, and what still comes is
//! read and thrown away for a while, until the caller has closed too. The connection stays counted
//! meanwhile, and nothing of it but a small buffer is held.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::deadline::locked;

/// How long a caller may go on sending after its answer.
const LINGER_MAX: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 16 * 1024;

/// What a caller may still send after its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) bytes_max: u64,
    /// How long it may send nothing.
    pub(crate) pause: Duration,
}

/// Both directions of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Slot = Mutex<Option<Box<dyn Stream>>>;

/// Where the stream of a connection comes back to once HTTP has done with it.
#[derive(Default)]
pub(crate) struct Returned(Arc<Slot>);

/// What brings a stream back, where somebody waits for it.
pub(crate) struct Returning(Weak<Slot>);

impl Returned {
    pub(crate) fn returning(&self) -> Returning {
        Returning(Arc::downgrade(&self.0))
    }

    pub(crate) fn take(self) -> Option<Box<dyn Stream>> {
        locked(&self.0).take()
    }
}

impl Returning {
    pub(crate) fn give_back(&self, stream: impl Stream + 'static) {
        if let Some(slot) = self.0.upgrade() {
            *locked(&slot) = Some(Box::new(stream));
        }
    }
}

/// Ends a connection: what was written arrives, whatever the caller still sends.
pub(crate) async fn close(mut stream: Box<dyn Stream>, Rest { bytes_max, pause }: Rest) {
    let closing = async {
        if !matches!(timeout(pause, stream.shutdown()).await, Ok(Ok(()))) {
            return;
        }
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut bytes = 0;
        while let Ok(Ok(length @ 1..)) = timeout(pause, stream.read(&mut buffer)).await {
            bytes += length as u64;
            if bytes > bytes_max {
                return;
            }
        }
    };
    let _ = timeout(LINGER_MAX, closing).await;
}

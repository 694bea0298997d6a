//! Taking a whole body into memory, because only it tells what its call costs.

use std::pin::Pin;

use bytes::Buf;
use http_body::Body;
use keystile_core::refusal::{Reason, Refusal};

use crate::admission::permit::BodyPermit;

/// What a body begins with; it doubles from there.
const FIRST_BYTES: usize = 4096;

/// Where a door counts the bytes that it holds in memory.
pub trait BodyRoom {
    /// Takes room for so many bytes more.
    ///
    /// # Errors
    /// When there is none.
    fn take(&self, bytes: usize) -> Result<(), NoRoom>;
}

/// There is no room for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Why a body could not be read to its end.
#[derive(Debug)]
pub enum BodyFault<E> {
    /// It is larger than what may be counted.
    TooLarge,
    /// Too much is held already.
    NoRoom,
    /// It broke off.
    Broken(E),
}

impl<E> BodyFault<E> {
    /// What the request is refused for; the door knows what it means that a body broke off.
    pub fn refusal(self, broken: impl FnOnce(E) -> Reason) -> Refusal {
        match self {
            Self::TooLarge => Reason::BodyTooLarge.into(),
            Self::NoRoom => Refusal::new(Reason::Overloaded).retry_after_secs(1),
            Self::Broken(error) => broken(error).into(),
        }
    }
}

impl BodyPermit {
    /// Reads a body to its end, as far as it may be held. How long that may take is the door's to say.
    ///
    /// # Errors
    /// When it is too large, there is no room for it, or it breaks off.
    pub async fn read<B: Body + Unpin>(
        &self,
        mut body: B,
        room: &impl BodyRoom,
    ) -> Result<Vec<u8>, BodyFault<B::Error>> {
        let bytes_max = self.body_bytes_max();
        let mut bytes = Vec::new();
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(BodyFault::TooLarge);
        }
        loop {
            let frame =
                std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            let frame = match frame {
                None => return Ok(bytes),
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(BodyFault::Broken(error)),
            };
            let Ok(mut data) = frame.into_data() else {
                continue;
            };
            let length = bytes.len() + data.remaining();
            if length > bytes_max {
                return Err(BodyFault::TooLarge);
            }
            if length > bytes.capacity() {
                let capacity =
                    length.next_power_of_two().max(FIRST_BYTES).min(bytes_max.max(length));
                room.take(capacity - bytes.capacity()).map_err(|NoRoom| BodyFault::NoRoom)?;
                bytes.reserve_exact(capacity - bytes.len());
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                bytes.extend_from_slice(chunk);
                data.advance(chunk.len());
            }
        }
    }
}

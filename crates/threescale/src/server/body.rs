//! Bodies of callers who have not said yet who they are.
//!
//! # What this protects
//! Whoever sends a report proves with the report itself that it may, so its body is held before anybody knows. All
//! such bodies together have a bound, whatever the number of connections; a report that finds no room is answered with
//! 503, which clients send again.

use std::time::Duration;

use bytes::Buf;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::backend::params::QUERY_BYTES_MAX;

/// How long the body of a report may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// All bodies that are held at once, in bytes: sixteen of the largest.
const HELD_BYTES_MAX: usize = 16 * QUERY_BYTES_MAX;

/// Room for bodies, shared by all connections.
#[derive(Debug)]
pub(super) struct BodyRoom(Semaphore);

/// A body, and the room that it takes until it is dropped.
#[derive(Debug)]
pub(super) struct HeldBody<'r> {
    pub(super) bytes: Vec<u8>,
    _room: Option<SemaphorePermit<'r>>,
}

/// Why a body is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// It did not come in time.
    Slow,
    /// It is too large, or broke off.
    Size,
    /// There is no room for it now.
    NoRoom,
}

impl Default for BodyRoom {
    fn default() -> Self {
        Self(Semaphore::new(HELD_BYTES_MAX))
    }
}

impl BodyRoom {
    /// Reads a body. It takes room as it comes, so nobody takes any by a promise.
    pub(super) async fn read(&self, body: Incoming) -> Result<HeldBody<'_>, BodyFault> {
        let read = tokio::time::timeout(BODY_TIMEOUT, self.read_all(body)).await;
        read.unwrap_or(Err(BodyFault::Slow))
    }

    async fn read_all(&self, body: Incoming) -> Result<HeldBody<'_>, BodyFault> {
        let mut body = Limited::new(body, QUERY_BYTES_MAX);
        let (mut bytes, mut room) = (Vec::new(), None::<SemaphorePermit<'_>>);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyFault::Size)?.into_data() else { continue };
            let length = u32::try_from(data.remaining()).map_err(|_| BodyFault::Size)?;
            let more = self.0.try_acquire_many(length).map_err(|_| BodyFault::NoRoom)?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(HeldBody { bytes, _room: room })
    }
}

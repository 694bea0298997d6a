//! Taking a whole body into memory, because only it tells what its call costs.

use std::pin::Pin;

use http_body::Body;
use keystile_core::refusal::{Reason, Refusal};

use crate::body::caller_fault;
use crate::buffer::{CountedBody, Held};
use crate::caller::caller_body::CallerBody;
use crate::serve::{Peer, Worker};

/// What a body begins with; it doubles from there.
const FIRST_BYTES: usize = 4096;

/// Takes a body of at most `bytes_max`, within the idle timeout and the room that there is.
pub(crate) async fn collect(
    core: &Worker,
    peer: &Peer,
    body: CallerBody,
    bytes_max: usize,
) -> Result<Held, Refusal> {
    let deadline = core.deadlines.watch();
    deadline.set(&core.deadlines, core.settings.idle_timeout);
    let counted = CountedBody::begin(peer.progress.outbox(), deadline.clone());
    match deadline.bound(read(&counted, body, bytes_max)).await {
        Some(Ok(bytes)) => Ok(counted.complete(bytes.into())),
        _ if counted.is_evicted() => Err(overloaded()),
        Some(Err(refusal)) => Err(refusal),
        None => Err(Reason::RequestTimeout.into()),
    }
}

async fn read(
    counted: &CountedBody,
    mut body: CallerBody,
    bytes_max: usize,
) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Reason::BodyTooLarge.into());
    }
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let data = match frame {
            None => return Ok(bytes),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => return Err(caller_fault(&error).into()),
        };
        let length = bytes.len() + data.len();
        if length > bytes_max {
            return Err(Reason::BodyTooLarge.into());
        }
        if length > bytes.capacity() {
            let capacity = length.next_power_of_two().max(FIRST_BYTES).min(bytes_max.max(length));
            counted.take(capacity - bytes.capacity()).map_err(|_| overloaded())?;
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
}

fn overloaded() -> Refusal {
    Refusal::new(Reason::Overloaded).retry_after_secs(1)
}

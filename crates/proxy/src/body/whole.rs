//! Taking a whole body into memory, because only it tells what its call costs.

use keystile_core::refusal::{Reason, Refusal};
use keystile_engine::admission::body::{BodyFault, BodyRoom, NoRoom};
use keystile_engine::admission::permit::BodyPermit;

use crate::body::request::caller_fault;
use crate::buffer::{CountedBody, Held};
use crate::caller::caller_body::CallerBody;
use crate::worker::{Peer, Worker};

impl BodyRoom for CountedBody {
    fn take(&self, bytes: usize) -> Result<(), NoRoom> {
        self.take_room(bytes).map_err(|_| NoRoom)
    }
}

/// Takes the body of a permit, within the idle timeout and the room that there is.
pub(crate) async fn read_whole(
    worker: &Worker,
    peer: &Peer,
    permit: &BodyPermit,
    body: CallerBody,
) -> Result<Held, Refusal> {
    let deadline = worker.deadlines.watch();
    deadline.set(&worker.deadlines, worker.settings.idle_timeout);
    let counted = CountedBody::begin(peer.progress.outbox(), deadline.clone());
    let broken = |error: hyper::Error| caller_fault(&error);
    match deadline.bound(permit.read(body, &counted)).await {
        Some(Ok(bytes)) => Ok(counted.complete(bytes.into())),
        _ if counted.is_evicted() => Err(BodyFault::NoRoom.refusal(broken)),
        Some(Err(fault)) => Err(fault.refusal(broken)),
        None => Err(Reason::RequestTimeout.into()),
    }
}

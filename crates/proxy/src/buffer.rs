//! What is held in memory for callers: bounded for each connection, and in all.
//!
//! # What this protects
//!
//! A caller that does not read makes the gate hold what it does not take, on as many streams and connections
//! as it likes. So the bytes of answers that have come from an upstream and are not written yet are
//! counted, from the read until the socket has them. While there is room in all, a connection holds up to
//! [`CONNECTION_MAX`]; when there is none, each still holds up to [`CONNECTION_FLOOR`], so nobody waits
//! for somebody else: a caller that reads goes on in smaller steps, and one that does not is closed by its
//! deadline. What an upstream sends beyond that stays in the upstream's socket.
//!
//! Bodies that are counted have a bound of their own, because they cannot go on in smaller steps. When it
//! is reached, the one that has been coming for longest is refused: whoever sends at a sound pace is done
//! before that.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

use crate::caller::stream_limit::Places;
use crate::deadline::{Deadline, locked};

/// What a connection may always hold.
const CONNECTION_FLOOR: usize = 16 * 1024;
/// What a connection may hold while there is room in all.
const CONNECTION_MAX: usize = 1024 * 1024;
/// One connection holds at most this part of all counted bodies.
const BODY_SHARE: usize = 4;
/// Pieces below this are copied where others wait already: each would keep a whole read alive.
const COPIED_MAX: usize = 2048;
/// The least that a read takes, of which a piece is a part.
const READ_BYTES_MIN: usize = 8192;

/// What a stream of HTTP/2 may have buffered for sending before more of its answer is asked for.
pub(crate) const SEND_BUFFER_BYTES: usize = 16 * 1024;
/// What all connections hold.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// For answers and for counted bodies each; as much is for requests.
    max: usize,
    answers: AtomicUsize,
    bodies: Mutex<Bodies>,
    pub(crate) places: Arc<Places>,
}

#[derive(Debug, Default)]
struct Bodies {
    bytes: usize,
    /// Those that are still coming, the earliest first.
    coming: VecDeque<Arc<Coming>>,
}

impl Buffers {
    /// Room for so many bytes in all.
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        let max = bytes_max / 3;
        let (answers, bodies, places) = (AtomicUsize::new(0), Mutex::default(), Places::new(max));
        Arc::new(Self { max, answers, bodies, places })
    }
}

/// What one connection holds of answers.
#[derive(Debug)]
pub(crate) struct Outbox {
    buffers: Arc<Buffers>,
    bytes: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
    has_waiting: AtomicBool,
}

impl Outbox {
    pub(crate) fn new(buffers: Arc<Buffers>) -> Arc<Self> {
        Arc::new(Self {
            buffers,
            bytes: AtomicUsize::new(0),
            waiting: Mutex::default(),
            has_waiting: AtomicBool::new(false),
        })
    }

    fn max(&self) -> usize {
        let has_room = self.buffers.answers.load(Ordering::Relaxed) < self.buffers.max;
        if has_room { CONNECTION_MAX } else { CONNECTION_FLOOR }
    }

    /// Waits until more of an answer may be held.
    pub(crate) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        if self.bytes.load(Ordering::Relaxed) < self.max() {
            return Poll::Ready(());
        }
        let mut waiting = locked(&self.waiting);
        if !waiting.iter().any(|known| known.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        self.has_waiting.store(true, Ordering::Relaxed);
        Poll::Pending
    }

    /// Counts bytes until they are written. The upstream's connection may have read twice as many
    /// again.
    pub(crate) fn hold(self: &Arc<Self>, bytes: Bytes) -> Held {
        let is_first = self.bytes.load(Ordering::Relaxed) == 0;
        let bytes = if bytes.len() < COPIED_MAX && !is_first {
            Bytes::copy_from_slice(&bytes)
        } else {
            bytes
        };
        let cost = if bytes.len() < COPIED_MAX {
            bytes.len() + COPIED_MAX
        } else {
            bytes.len() + 2 * bytes.len().max(READ_BYTES_MIN)
        };
        let before = self.bytes.fetch_add(cost, Ordering::Relaxed);
        let shared = beyond_floor(before + cost) - beyond_floor(before);
        if shared > 0 {
            self.buffers.answers.fetch_add(shared, Ordering::Relaxed);
        }
        Held { bytes, _hold: Some(Hold::Answer(AnswerBytes { outbox: self.clone(), cost })) }
    }

    fn release(&self, cost: usize) {
        let before = self.bytes.fetch_sub(cost, Ordering::Relaxed);
        let after = before - cost;
        let shared = beyond_floor(before) - beyond_floor(after);
        if shared > 0 {
            self.buffers.answers.fetch_sub(shared, Ordering::Relaxed);
        }
        // Not at each piece: all streams of a connection may wait.
        if self.has_waiting.load(Ordering::Relaxed) && after < self.max() / 2 {
            self.has_waiting.store(false, Ordering::Relaxed);
            let waiting = std::mem::take(&mut *locked(&self.waiting));
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

fn beyond_floor(bytes: usize) -> usize {
    bytes.saturating_sub(CONNECTION_FLOOR)
}

/// Bytes that are held for somebody, counted until they are dropped.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Bytes,
    _hold: Option<Hold>,
}

/// What counts held bytes, until it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held to be dropped")]
enum Hold {
    Answer(AnswerBytes),
    Body(CountedBody),
}

#[derive(Debug)]
struct AnswerBytes {
    outbox: Arc<Outbox>,
    cost: usize,
}

/// Bytes that need no count: Keystile's own answers, and requests as they pass.
impl From<Bytes> for Held {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, _hold: None }
    }
}

impl Drop for AnswerBytes {
    fn drop(&mut self) {
        self.outbox.release(self.cost);
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Buf for Held {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.bytes.copy_to_bytes(length)
    }
}

/// A counted body on its way into memory, as all know it.
#[derive(Debug)]
struct Coming {
    /// Of which connection it comes.
    outbox: Arc<Outbox>,
    /// Passes when the body has to make room.
    deadline: Arc<Deadline>,
    bytes: AtomicUsize,
    is_evicted: AtomicBool,
}

/// A counted body, until nobody needs it any more.
#[derive(Debug)]
pub(crate) struct CountedBody(Arc<Coming>);

/// There is no room for a body.
#[derive(Debug)]
pub(crate) struct Evicted;

impl CountedBody {
    /// A body that begins to come; it is given up when `deadline` passes.
    pub(crate) fn begin(outbox: &Arc<Outbox>, deadline: Arc<Deadline>) -> Self {
        let coming = Arc::new(Coming {
            outbox: outbox.clone(),
            deadline,
            bytes: AtomicUsize::new(0),
            is_evicted: AtomicBool::new(false),
        });
        locked(&outbox.buffers.bodies).coming.push_back(coming.clone());
        Self(coming)
    }

    /// Takes room for more of it: from those that have been coming for longest, where there is no other.
    /// One that is alone has room for all that it may be.
    pub(crate) fn take_room(&self, more: usize) -> Result<(), Evicted> {
        let Coming { outbox, .. } = &*self.0;
        let max = outbox.buffers.max;
        let mut bodies = locked(&outbox.buffers.bodies);
        loop {
            if self.is_evicted() {
                return Err(Evicted);
            }
            let is_ours = |other: &Arc<Coming>| Arc::ptr_eq(&other.outbox, outbox);
            let ours: usize =
                bodies.coming.iter().filter(|other| is_ours(other)).map(|other| other.held()).sum();
            let fits = |held, max| held + more <= max || held == self.0.held();
            let place = match (fits(bodies.bytes, max), fits(ours, max / BODY_SHARE)) {
                (true, true) => break,
                (false, _) => bodies.coming.iter().position(|_| true),
                (true, false) => bodies.coming.iter().position(is_ours),
            };
            let Some(first) = place.and_then(|place| bodies.coming.remove(place)) else {
                return Err(Evicted);
            };
            first.is_evicted.store(true, Ordering::Relaxed);
            bodies.bytes -= first.bytes.swap(0, Ordering::Relaxed);
            first.deadline.pass();
        }
        bodies.bytes += more;
        self.0.bytes.fetch_add(more, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it had to make room.
    pub(crate) fn is_evicted(&self) -> bool {
        self.0.is_evicted.load(Ordering::Relaxed)
    }

    /// The whole of it, counted until it has been sent. It does not make room any more.
    pub(crate) fn complete(self, bytes: Bytes) -> Held {
        self.leave();
        Held { bytes, _hold: Some(Hold::Body(self)) }
    }

    fn leave(&self) {
        let coming = &mut locked(&self.0.outbox.buffers.bodies).coming;
        if let Some(place) = coming.iter().position(|other| Arc::ptr_eq(other, &self.0)) {
            coming.remove(place);
        }
    }
}

impl Coming {
    fn held(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        self.leave();
        let mut bodies = locked(&self.0.outbox.buffers.bodies);
        bodies.bytes -= self.0.bytes.swap(0, Ordering::Relaxed);
    }
}

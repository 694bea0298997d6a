//! Places for requests over HTTP/2, of which one connection may bring very many at a time.
//!
//! Each request that is under way costs memory here, whether or not its caller reads: its head, its
//! connection to the upstream, the first of its answer. So all together have room for so many. A
//! connection always has one place; what is beyond that waits for room. While anybody waits, callers
//! who do not take their answers are closed sooner, because it is their place that is missing.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::request::Parts;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

const KIB: usize = 1024;
/// What a request costs besides its head.
const REQUEST_BYTES: usize = 32 * KIB;
/// What the heads that wait may take for one connection.
const WAITING_BYTES_MAX: usize = 512 * KIB;

/// Requests at a time that HTTP/2 connections share, and how many one may have.
const STREAMS: usize = 2048;
const STREAMS_OF_ONE: RangeInclusive<usize> = 8..=128;
/// Bytes of bodies that they may send before somebody takes them. The protocol gives each 64 KiB.
const WINDOW: usize = 16 * 1024 * KIB;
const WINDOW_OF_ONE: RangeInclusive<usize> = 65_535..=256 * KIB;

/// How much a connection over HTTP/2 may send: the less, the more of them there are when it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Requests at a time.
    pub(crate) streams: u32,
    /// Bytes of bodies that nobody has taken yet.
    pub(crate) window: u32,
}

/// Room for the requests of all connections.
#[derive(Debug)]
pub(crate) struct Places {
    /// KiB that are free.
    free: Arc<Semaphore>,
    waiting_bytes_max: usize,
    waiting_bytes: AtomicUsize,
    /// Connections over HTTP/2.
    connections: AtomicUsize,
}

/// The requests of one connection.
#[derive(Debug)]
pub(crate) struct Requests {
    places: Arc<Places>,
    waiting_bytes: AtomicUsize,
    /// Whether the connection's own place is taken.
    own: AtomicBool,
    is_free: Notify,
    has_joined: AtomicBool,
}

/// A request's place, until its answer has gone out.
#[derive(Debug)]
pub(crate) enum Place {
    /// The one that its connection always has.
    Own(Arc<Requests>),
    Shared(#[expect(dead_code, reason = "held to be dropped")] OwnedSemaphorePermit),
}

/// There are too many that wait already.
#[derive(Debug)]
pub(crate) struct Crowded;

impl Places {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new((bytes_max / KIB).min(Semaphore::MAX_PERMITS))),
            waiting_bytes_max: bytes_max,
            waiting_bytes: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        })
    }

    /// Whether a request waits.
    pub(crate) fn is_crowded(&self) -> bool {
        self.waiting_bytes.load(Ordering::Relaxed) > 0
    }
}

impl Requests {
    pub(crate) fn new(places: Arc<Places>) -> Arc<Self> {
        Arc::new(Self {
            places,
            waiting_bytes: AtomicUsize::new(0),
            own: AtomicBool::new(false),
            is_free: Notify::new(),
            has_joined: AtomicBool::new(false),
        })
    }

    /// The connection speaks HTTP/2: what is its share of what all may send.
    pub(crate) fn join(&self) -> Share {
        self.has_joined.store(true, Ordering::Relaxed);
        let connections = self.places.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let share = |all: usize, range: RangeInclusive<usize>| {
            let share = (all / connections).clamp(*range.start(), *range.end());
            u32::try_from(share).unwrap_or(u32::MAX)
        };
        Share { streams: share(STREAMS, STREAMS_OF_ONE), window: share(WINDOW, WINDOW_OF_ONE) }
    }

    fn own(self: &Arc<Self>) -> Option<Place> {
        (!self.own.swap(true, Ordering::Relaxed)).then(|| Place::Own(self.clone()))
    }

    /// A place for a request, where there is one at once.
    pub(crate) fn try_enter(self: &Arc<Self>, parts: &Parts) -> Option<Place> {
        self.own().or_else(|| {
            let permit = self.places.free.clone().try_acquire_many_owned(cost(head_bytes(parts)));
            permit.ok().map(Place::Shared)
        })
    }

    /// Waits for a place for a request.
    pub(crate) async fn enter(self: &Arc<Self>, parts: &Parts) -> Result<Place, Crowded> {
        let head = head_bytes(parts);
        let (cost, free) = (cost(head), &self.places.free);
        let _waiting = Waiting::begin(self, head)?;
        loop {
            let freed = self.is_free.notified();
            if let Some(place) = self.own() {
                return Ok(place);
            }
            tokio::select! {
                permit = free.clone().acquire_many_owned(cost) => {
                    return permit.map(Place::Shared).map_err(|_| Crowded);
                }
                () = freed => {}
            }
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        if *self.has_joined.get_mut() {
            self.places.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Own(requests) = self {
            requests.own.store(false, Ordering::Relaxed);
            requests.is_free.notify_one();
        }
    }
}

/// A head that is held while its request waits.
struct Waiting<'r> {
    requests: &'r Requests,
    bytes: usize,
}

impl<'r> Waiting<'r> {
    fn begin(requests: &'r Requests, bytes: usize) -> Result<Self, Crowded> {
        let places = &requests.places;
        let waiting = Self { requests, bytes };
        let of_all = places.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let ours = requests.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let is_within = of_all <= places.waiting_bytes_max && ours <= WAITING_BYTES_MAX;
        is_within.then_some(waiting).ok_or(Crowded)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.requests.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.requests.places.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a request takes, in KiB.
fn cost(head_bytes: usize) -> u32 {
    u32::try_from((REQUEST_BYTES + head_bytes) / KIB).unwrap_or(u32::MAX)
}

/// What a head takes in memory, about.
fn head_bytes(parts: &Parts) -> usize {
    const FIELD_BYTES: usize = 104;
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let fields = parts.headers.iter();
    2 * KIB
        + target
        + fields.map(|(name, value)| FIELD_BYTES + name.as_str().len() + value.len()).sum::<usize>()
}

//! The console's connections: how many there are, and how long each may keep the console waiting.
//!
//! # What this protects
//!
//! Whoever reaches the console's address can open connections without signing in. One that does not end its
//! head or its body, or does not read its answer, is closed after a while; and when there are as many as
//! there may be, a new one takes the place of the one that has kept the console waiting for longest. Where
//! all are at work the earliest goes, but never an event stream that is read. So health checks
//! and owners are served, however many connections are held open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keystile_core::request::address::counted_address;
use tokio::sync::Notify;
use tokio::time::Instant;

/// From the first moment of a connection until its first head is whole, with the TLS handshake.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// From an answer until the next head is whole.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// For a whole body to come, and for a caller to take more of an answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections at a time.
const CONNECTIONS_MAX: usize = 512;
/// Connections at a time from one address (an IPv6 /64).
const CONNECTIONS_PER_ADDRESS: usize = 128;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All connections of the console.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    per_address: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Activity>>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    id: u64,
    pub(super) activity: Arc<Activity>,
}

impl ConnectionLimiter {
    /// Behind a proxy all callers have the proxy's address.
    pub(super) fn new(behind_proxy: bool) -> Arc<Self> {
        let per_address = if behind_proxy { CONNECTIONS_MAX } else { CONNECTIONS_PER_ADDRESS };
        Arc::new(Self { per_address, open: Mutex::default() })
    }

    /// Gives a connection its place, in exchange for another where all are taken.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<ConnectionPermit> {
        let address = counted_address(address.to_canonical());
        let mut open = locked(&self.open);
        let of_address = open.connections.values().filter(|other| other.address == address).count();
        let is_over_address = of_address >= self.per_address;
        if is_over_address || open.connections.len() >= CONNECTIONS_MAX {
            let (_, id) = open
                .connections
                .iter()
                .filter(|(_, other)| !is_over_address || other.address == address)
                .filter_map(|(id, other)| Some((other.turn()?, *id)))
                .min()?;
            open.connections.remove(&id)?.end.notify_one();
        }
        let id = open.next;
        open.next += 1;
        let activity = Arc::new(Activity::new(address));
        open.connections.insert(id, activity.clone());
        Some(ConnectionPermit { limiter: self.clone(), id, activity })
    }

    /// Ends the connections that have kept the console waiting for too long.
    pub(super) fn end_overdue(&self) {
        let open = locked(&self.open);
        open.connections
            .values()
            .filter(|connection| connection.is_overdue())
            .for_each(|connection| connection.end.notify_one());
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        locked(&self.limiter.open).connections.remove(&self.id);
    }
}

/// Which connection goes for a new one: the least of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Has kept the console waiting since then.
    Waits(Instant),
    /// Began then, and the console is at work for it.
    AtWork(Instant),
}

/// What a connection does, and what it waits for.
#[derive(Debug)]
pub(super) struct Activity {
    address: IpAddr,
    begun: Instant,
    state: Mutex<State>,
    /// Tells the connection that it is over.
    end: Notify,
}

#[derive(Debug)]
struct State {
    requests: usize,
    /// Those of them whose answer is an event stream.
    streams: usize,
    was_served: bool,
    /// Since when there is no request.
    idle_since: Instant,
    /// Since when the peer has taken no bytes.
    blocked_since: Option<Instant>,
    /// Since when bodies have been coming, and answers have not been taken further.
    waits: HashMap<u64, Instant>,
    next: u64,
}

impl Activity {
    fn new(address: IpAddr) -> Self {
        let state = State {
            requests: 0,
            streams: 0,
            was_served: false,
            idle_since: Instant::now(),
            blocked_since: None,
            waits: HashMap::new(),
            next: 0,
        };
        Self { address, begun: Instant::now(), state: Mutex::new(state), end: Notify::new() }
    }

    /// Resolves when the connection is over.
    pub(super) async fn ended(&self) {
        self.end.notified().await;
    }

    /// When it is its turn to go, compared with others; never where an event stream is read.
    fn turn(&self) -> Option<Turn> {
        let state = locked(&self.state);
        let idle_since = (state.requests == 0).then_some(state.idle_since);
        let waits = state.waits.values().copied();
        let since = idle_since.into_iter().chain(state.blocked_since).chain(waits).min();
        let at_work = (state.streams == 0).then_some(Turn::AtWork(self.begun));
        since.map(Turn::Waits).or(at_work)
    }

    fn is_overdue(&self) -> bool {
        let state = locked(&self.state);
        let idle_timeout = if state.was_served { IDLE_TIMEOUT } else { HEAD_TIMEOUT };
        let is_idle = state.requests == 0 && state.idle_since.elapsed() >= idle_timeout;
        let mut waits = state.blocked_since.iter().chain(state.waits.values());
        is_idle || waits.any(|since| since.elapsed() >= BODY_TIMEOUT)
    }

    /// The peer takes bytes, or does not.
    pub(super) fn note_write(&self, is_blocked: bool) {
        let blocked_since = &mut locked(&self.state).blocked_since;
        *blocked_since = is_blocked.then(|| blocked_since.unwrap_or_else(Instant::now));
    }

    /// A request whose head has come.
    pub(super) fn begin_request(self: &Arc<Self>) -> RequestGuard {
        locked(&self.state).requests += 1;
        RequestGuard { activity: self.clone(), is_stream: false }
    }

    /// Something of a request that the peer may keep waiting.
    pub(super) fn wait(self: &Arc<Self>) -> Wait {
        let mut state = locked(&self.state);
        state.next += 1;
        Wait { activity: self.clone(), id: state.next }
    }
}

/// A request, until its answer has gone out.
#[derive(Debug)]
pub(super) struct RequestGuard {
    activity: Arc<Activity>,
    is_stream: bool,
}

impl RequestGuard {
    /// Its answer goes on for as long as it is read.
    pub(super) fn set_stream(&mut self) {
        self.is_stream = true;
        locked(&self.activity.state).streams += 1;
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = locked(&self.activity.state);
        state.requests -= 1;
        state.streams -= usize::from(self.is_stream);
        state.was_served = true;
        state.idle_since = Instant::now();
    }
}

/// Whether, and since when, a peer keeps a body waiting.
#[derive(Debug)]
pub(super) struct Wait {
    activity: Arc<Activity>,
    id: u64,
}

impl Wait {
    /// It is the peer's turn, if it was not yet.
    pub(super) fn begin(&self) {
        locked(&self.activity.state).waits.entry(self.id).or_insert_with(Instant::now);
    }

    /// It is not the peer's turn any more.
    pub(super) fn end(&self) {
        locked(&self.activity.state).waits.remove(&self.id);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.end();
    }
}

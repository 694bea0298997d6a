//! Deadlines without timers: each is a number that one task per core looks at ten times a second.
//!
//! A proxied request changes its deadlines several times (head, body, upstream, idle). Setting a number
//! costs next to nothing; a timer would be registered and dropped each time. They fire up to 0.1 s late. All
//! of it stays on one thread; it is atomic because hyper wants to be able to send an upgraded connection.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use keystile_core::time::Span;
use tokio::time::Instant;

use crate::caller::stream_limit::Places;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long somebody may not take what is sent to them while others wait for a place.
const HURRIED_MILLIS: u64 = 2_000;

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All deadlines of a core.
#[derive(Debug)]
pub(crate) struct Deadlines {
    /// Milliseconds since the core started, as of the last tick.
    now: AtomicU64,
    started: Instant,
    watched: Mutex<Vec<Weak<Deadline>>>,
    places: Arc<Places>,
}

/// A moment after which something is given up. It can be moved and lifted at any time.
#[derive(Debug)]
pub(crate) struct Deadline {
    /// `u64::MAX` while lifted.
    at: AtomicU64,
    /// When it passes already while others wait for a place.
    at_crowded: AtomicU64,
    has_passed: AtomicBool,
    waker: Mutex<Option<Waker>>,
    /// What passes along with it.
    other: Option<Arc<Deadline>>,
}

impl Deadlines {
    pub(crate) fn new(places: Arc<Places>) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicU64::new(0),
            started: Instant::now(),
            watched: Mutex::default(),
            places,
        })
    }

    /// Milliseconds since the core started, up to a tick ago.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// A new deadline, lifted.
    pub(crate) fn watch(&self) -> Arc<Deadline> {
        self.watch_with(None)
    }

    /// A new deadline, lifted, with which another passes.
    pub(crate) fn watch_with(&self, other: Option<Arc<Deadline>>) -> Arc<Deadline> {
        let deadline = Arc::new(Deadline {
            at: AtomicU64::new(u64::MAX),
            at_crowded: AtomicU64::new(u64::MAX),
            has_passed: AtomicBool::new(false),
            waker: Mutex::default(),
            other,
        });
        locked(&self.watched).push(Arc::downgrade(&deadline));
        deadline
    }

    /// What a future gives within a span.
    pub(crate) async fn within<F: Future>(
        self: &Arc<Self>,
        span: Span,
        future: F,
    ) -> Option<F::Output> {
        let deadline = self.watch();
        deadline.set(self, span);
        deadline.bound(future).await
    }

    /// Looks at the deadlines, for ever.
    pub(crate) async fn run(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.now.store(now, Ordering::Relaxed);
            let is_crowded = self.places.is_crowded();
            locked(&self.watched).retain(|watched| match watched.upgrade() {
                Some(deadline) => {
                    let is_over = deadline.at.load(Ordering::Relaxed) <= now;
                    if is_over || (is_crowded && deadline.at_crowded.load(Ordering::Relaxed) <= now)
                    {
                        deadline.pass();
                    }
                    true
                }
                None => false,
            });
        }
    }
}

impl Deadline {
    /// Sets it to a span from now.
    pub(crate) fn set(&self, deadlines: &Deadlines, span: Span) {
        self.at
            .store(deadlines.now().saturating_add(span.millis().unsigned_abs()), Ordering::Relaxed);
    }

    /// Sets it to a span from now where that is earlier than it is.
    pub(crate) fn set_earlier(&self, deadlines: &Deadlines, span: Span) {
        self.set_earlier_at(deadlines.now().saturating_add(span.millis().unsigned_abs()));
    }

    /// Sets it to a moment of the core's clock where that is earlier than it is.
    pub(crate) fn set_earlier_at(&self, at: u64) {
        self.at.store(self.at.load(Ordering::Relaxed).min(at), Ordering::Relaxed);
    }

    /// Lets it pass after a moment already while others wait for a place.
    pub(crate) fn hurry(&self, deadlines: &Deadlines) {
        self.at_crowded.fetch_min(deadlines.now() + HURRIED_MILLIS, Ordering::Relaxed);
    }

    /// Takes that back.
    pub(crate) fn unhurry(&self) {
        self.at_crowded.store(u64::MAX, Ordering::Relaxed);
    }

    /// Lifts it.
    pub(crate) fn lift(&self) {
        self.unhurry();
        self.at.store(u64::MAX, Ordering::Relaxed);
    }

    /// Lets it pass now.
    pub(crate) fn pass(&self) {
        self.has_passed.store(true, Ordering::Relaxed);
        if let Some(waker) = locked(&self.waker).take() {
            waker.wake();
        }
        if let Some(other) = &self.other {
            other.pass();
        }
    }

    /// Makes it as new, for the next exchange of its connection.
    pub(crate) fn renew(&self) {
        self.lift();
        self.has_passed.store(false, Ordering::Relaxed);
    }

    pub(crate) fn poll_passed(&self, context: &Context<'_>) -> Poll<()> {
        if self.has_passed.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        let mut waker = locked(&self.waker);
        if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// What a future gives; `None` when the deadline passes before.
    pub(crate) async fn bound<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll_passed(context).map(|()| None),
        })
        .await
    }
}

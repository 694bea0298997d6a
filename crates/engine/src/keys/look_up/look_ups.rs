//! What a source is asked about at the moment, and how much more it may be asked.

use std::collections::HashMap;
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keystile_core::budget::{Quota, Window};
use keystile_core::keys::hash::KeyHash;
use keystile_core::rate::RateState;
use keystile_core::time::{Span, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::keys::look_up::answer::{FoundThere, LookUpKey};
use crate::keys::look_up::unknown::UnknownKeys;

/// So many look-ups of one source are under way at a time.
pub const AT_ONCE_MAX: usize = 16;
/// How long a caller waits for one. A source gives up sooner by itself; this is for one that does not.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// When it makes sense to ask again after a look-up that failed.
const AGAIN_SECS: u64 = 5;
/// The same where there were only too many at once.
const AGAIN_SOON_SECS: u64 = 1;

/// What a caller is told where a source did not answer.
pub(super) const NO_ANSWER: FoundThere = FoundThere::Unavailable { retry_after_secs: AGAIN_SECS };

/// How often a source may be asked, and for how long its "no" is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookUpLimits {
    /// How many keys it is asked about in any second; none where zero.
    pub per_second: u32,
    /// How long a key that it does not know is taken for unknown without asking again.
    pub unknown_for: Span,
}

/// The look-ups of one source.
#[derive(Debug)]
pub struct LookUps {
    limits: LookUpLimits,
    rate: RateState,
    state: Mutex<State>,
    questions: mpsc::Sender<Question>,
    /// Held by who carries them out.
    pub(super) queue: tokio::sync::Mutex<mpsc::Receiver<Question>>,
}

#[derive(Debug)]
struct State {
    unknown: UnknownKeys,
    under_way: HashMap<KeyHash, watch::Receiver<Option<FoundThere>>>,
}

/// A key that somebody waits for.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) key: LookUpKey,
    pub(super) answer: watch::Sender<Option<FoundThere>>,
}

/// What a caller gets at once.
enum Begun {
    Answered(FoundThere),
    Waits(watch::Receiver<Option<FoundThere>>),
}

impl LookUps {
    /// A source that was not asked about anything yet.
    pub fn new(limits: LookUpLimits) -> Self {
        let (questions, queue) = mpsc::channel(AT_ONCE_MAX);
        let unknown = UnknownKeys::new(limits.unknown_for);
        Self {
            limits,
            rate: RateState::default(),
            state: Mutex::new(State { unknown, under_way: HashMap::new() }),
            questions,
            queue: tokio::sync::Mutex::new(queue),
        }
    }

    /// How often the source may be asked.
    pub fn limits(&self) -> LookUpLimits {
        self.limits
    }

    /// Whether it makes sense to ask: the source may be, and is not known to know nothing of the key.
    pub(crate) fn may_find(&self, hash: &KeyHash, now: Timestamp) -> bool {
        self.limits.per_second > 0 && !self.state().unknown.contains(hash, now)
    }

    /// Asks the source about a key, or joins those who do; the future gives the answer.
    pub(crate) fn ask(
        &self,
        key: &LookUpKey,
        now: Timestamp,
    ) -> impl Future<Output = FoundThere> + Send + use<> {
        let begun = self.begin(key, now);
        async move {
            let mut answer = match begun {
                Begun::Answered(found) => return found,
                Begun::Waits(answer) => answer,
            };
            let answered = answer.wait_for(Option::is_some);
            match tokio::time::timeout(WAIT_MAX, answered).await {
                Ok(Ok(found)) => found.unwrap_or(NO_ANSWER),
                Ok(Err(_)) | Err(_) => NO_ANSWER,
            }
        }
    }

    fn begin(&self, key: &LookUpKey, now: Timestamp) -> Begun {
        let busy = |retry_after_secs| Begun::Answered(FoundThere::Unavailable { retry_after_secs });
        if self.limits.per_second == 0 {
            return Begun::Answered(FoundThere::Unknown);
        }
        let mut state = self.state();
        if state.unknown.contains(&key.hash, now) {
            return Begun::Answered(FoundThere::Unknown);
        }
        if let Some(answer) = state.under_way.get(&key.hash) {
            return Begun::Waits(answer.clone());
        }
        if state.under_way.len() >= AT_ONCE_MAX {
            return busy(AGAIN_SOON_SECS);
        }
        let window = Window::Rolling(Span::from_secs(1));
        let quota = Quota { amount: self.limits.per_second, window };
        if let Err(seconds) = self.rate.admit(slice::from_ref(&quota), now) {
            return busy(seconds);
        }
        let (sender, answer) = watch::channel(None);
        if self.questions.try_send(Question { key: key.clone(), answer: sender }).is_err() {
            return busy(AGAIN_SOON_SECS);
        }
        state.under_way.insert(key.hash, answer.clone());
        Begun::Waits(answer)
    }

    /// Ends a look-up. Whoever asks about the key from now on finds it, or that it is unknown, or asks anew.
    pub(super) fn end(&self, hash: KeyHash, found: FoundThere, now: Timestamp) {
        let mut state = self.state();
        state.under_way.remove(&hash);
        if found == FoundThere::Unknown {
            state.unknown.insert(hash, now);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

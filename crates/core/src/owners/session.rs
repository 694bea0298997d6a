//! How long an owner stays signed in, and for how long they count as the one who signed in.

use crate::time::{Span, Timestamp};

/// A session that nobody used for so long is over: a working day, so that a browser left open overnight
/// is signed out in the morning.
pub const SESSION_IDLE_MAX: Span = Span::from_secs(12 * 3600);

/// No session lasts longer, however it is used: a cookie that was stolen unseen dies within a week.
pub const SESSION_MAX: Span = Span::from_secs(7 * 86_400);

/// What cannot easily be undone needs a sign-in no older than this: long enough to finish what one came
/// for, short enough that a browser left open for lunch is of no use to whoever finds it.
pub const RECENT_AUTHENTICATION_MAX: Span = Span::from_secs(600);

/// `seen` is written at most so often, or every page would be a commit. The idle limit is less exact by
/// as much.
pub const SEEN_EVERY: Span = Span::from_secs(60);

/// The times of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimes {
    /// When it began.
    pub created: Timestamp,
    /// When it was last used.
    pub seen: Timestamp,
    /// When its owner last authenticated, by signing in or by confirming their identity.
    pub authenticated: Timestamp,
}

impl SessionTimes {
    /// Whether it still holds.
    pub fn holds_at(self, now: Timestamp) -> bool {
        now < self.ends()
    }

    /// When it ends if it is not used again.
    pub fn ends(self) -> Timestamp {
        self.seen.plus(SESSION_IDLE_MAX).min(self.created.plus(SESSION_MAX))
    }

    /// Whether its owner authenticated recently enough for what cannot easily be undone.
    pub fn is_recently_authenticated(self, now: Timestamp) -> bool {
        now < self.authenticated.plus(RECENT_AUTHENTICATION_MAX)
    }

    /// Whether it is time to write down that it was seen.
    pub fn wants_touch(self, now: Timestamp) -> bool {
        now >= self.seen.plus(SEEN_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_idle_and_in_any_case_after_a_week() {
        let hour = 3_600_000;
        let start = Timestamp(1_000_000);
        let mut times = SessionTimes { created: start, seen: start, authenticated: start };
        assert!(times.holds_at(Timestamp(start.0 + 12 * hour - 1)));
        assert!(!times.holds_at(Timestamp(start.0 + 12 * hour)));
        times.seen = Timestamp(start.0 + 167 * hour);
        assert!(times.holds_at(Timestamp(start.0 + 168 * hour - 1)));
        assert!(!times.holds_at(Timestamp(start.0 + 168 * hour)));
    }

    #[test]
    fn an_authentication_is_recent_for_ten_minutes() {
        let times =
            SessionTimes { created: Timestamp(0), seen: Timestamp(0), authenticated: Timestamp(5) };
        assert!(times.is_recently_authenticated(Timestamp(600_004)));
        assert!(!times.is_recently_authenticated(Timestamp(600_005)));
    }
}

//! Digests: how a storm of events becomes few messages that leave nothing out.
//!
//! # What this protects
//!
//! Each rule has one window on each channel. The first event is sent at once and opens it. What follows
//! within it is counted, and sent as one digest when it closes, with an exact total. While events go on, the
//! next window is longer, up to an hour; a window in which nothing came ends the storm, and the next event
//! is sent at once again.
//!
//! In quiet hours, and when a channel has carried what it carries in an hour, events wait in the window
//! until that is over. What never waits ([`Urgency::AtOnce`]) does not pass through windows at all, so no
//! digest can swallow it.
//!
//! # Not here
//!
//! Where windows are kept, and what time it is.

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// Windows do not grow beyond this.
const SPAN_GROWN_MAX: Span = Span::from_secs(3_600);
/// So many of those who caused events are counted one by one.
const OFFENDERS_MAX: usize = 100;
/// So many of the latest events are named in a digest.
const SAMPLES_MAX: usize = 5;

/// Whether an event may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It is sent by itself and at once, whatever the hour.
    AtOnce,
    /// It may be one of many in a digest.
    Grouped,
}

/// Something that happened, or several of the same in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// Who caused it, as the journal numbers callers.
    pub subject: i64,
    /// How many events it stands for.
    pub count: u32,
    /// The record or event that says more.
    pub sample: i64,
}

/// What holds on a channel when something is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// The time.
    pub now: Timestamp,
    /// The rule's first window.
    pub span: Span,
    /// When the quiet that there is ends.
    pub quiet_until: Option<Timestamp>,
    /// When the channel, which has carried what it carries in an hour, has room again.
    pub full_until: Option<Timestamp>,
}

impl Conditions {
    fn held_until(&self) -> Option<Timestamp> {
        self.quiet_until.max(self.full_until).filter(|until| *until > self.now)
    }
}

/// What becomes of an event on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It is sent by itself, now.
    SendNow,
    /// It is counted in the window.
    Buffered,
}

/// A window of a rule on a channel, open until a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Since when it counts.
    pub opened: Timestamp,
    /// When its digest is due.
    pub until: Timestamp,
    /// How many windows came before it in the same storm.
    pub step: u32,
    /// What it has counted.
    pub counts: DigestCounts,
}

/// Events that are sent together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestCounts {
    /// How many, exactly.
    pub count: u64,
    /// Who caused most of them, worst first.
    pub offenders: Vec<Offender>,
    /// The latest records or events, latest last.
    pub samples: Vec<i64>,
    /// Whether something of the same storm was sent before. Not so where its first event had to wait, in
    /// quiet hours or for a channel with room.
    #[serde(default)]
    pub is_sequel: bool,
}

/// Who caused events, and how many.
///
/// Up to a hundred are counted exactly. Beyond that the one with the fewest makes room and hands on its
/// count, which is then the most that can be wrong: who caused more than a hundredth is always among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offender {
    /// The journal's number for them.
    pub subject: i64,
    /// How many at most.
    pub count: u64,
    /// How many of these may have been others'.
    pub inherited: u64,
}

impl DigestCounts {
    /// Counts an occurrence.
    pub fn add(&mut self, occurrence: &Occurrence) {
        let count = u64::from(occurrence.count);
        self.count += count;
        if self.samples.len() == SAMPLES_MAX {
            self.samples.remove(0);
        }
        self.samples.push(occurrence.sample);
        let subject = occurrence.subject;
        if let Some(known) = self.offenders.iter_mut().find(|known| known.subject == subject) {
            known.count += count;
        } else if self.offenders.len() < OFFENDERS_MAX {
            self.offenders.push(Offender { subject, count, inherited: 0 });
        } else if let Some(least) = self.offenders.iter_mut().min_by_key(|known| known.count) {
            let inherited = least.count;
            *least = Offender { subject, count: inherited + count, inherited };
        }
    }

    /// Puts the worst first, and says how many there are.
    #[must_use]
    pub fn ranked(mut self) -> Self {
        self.offenders.sort_by_key(|known| (std::cmp::Reverse(known.count), known.subject));
        self
    }
}

impl Window {
    fn open(now: Timestamp, until: Timestamp, step: u32, is_sequel: bool) -> Self {
        Self {
            opened: now,
            until,
            step,
            counts: DigestCounts { is_sequel, ..DigestCounts::default() },
        }
    }
}

/// How long the window is that follows so many others.
fn grown(span: Span, step: u32) -> Span {
    let factor = 1_i64 << step.min(30);
    let longest = SPAN_GROWN_MAX.max(span);
    Span::from_millis(span.millis().saturating_mul(factor))
        .map_or(longest, |span| span.min(longest))
}

/// Says what becomes of an event, and counts it where it is not sent by itself.
pub fn place(
    window: &mut Option<Window>,
    occurrence: &Occurrence,
    urgency: Urgency,
    conditions: &Conditions,
) -> Disposition {
    match urgency {
        Urgency::AtOnce => return Disposition::SendNow,
        Urgency::Grouped => {}
    }
    let now = conditions.now;
    // A window in which nothing came has ended by itself.
    let present = window.take().filter(|open| now < open.until || open.counts.count > 0);
    let (placed, open) = match (present, conditions.held_until()) {
        (Some(mut open), _) => {
            open.counts.add(occurrence);
            (Disposition::Buffered, open)
        }
        (None, Some(until)) => {
            let mut open = Window::open(now, until, 0, false);
            open.counts.add(occurrence);
            (Disposition::Buffered, open)
        }
        (None, None) => {
            (Disposition::SendNow, Window::open(now, now.plus(conditions.span), 0, true))
        }
    };
    *window = Some(open);
    placed
}

/// Closes the digest of a window that is due: gives what is to be sent as one message, and leaves the window
/// that follows.
pub fn close(
    window: &mut Option<Window>,
    conditions: &Conditions,
) -> Option<(Timestamp, DigestCounts)> {
    let now = conditions.now;
    let mut due = window.take_if(|open| now >= open.until)?;
    if due.counts.count == 0 {
        return None;
    }
    if let Some(until) = conditions.held_until() {
        due.until = until;
        *window = Some(due);
        return None;
    }
    let step = due.step.saturating_add(1);
    let until = now.plus(grown(conditions.span, step));
    *window = Some(Window::open(now, until, step, true));
    Some((due.opened, due.counts.ranked()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;

    fn at(now: i64) -> Conditions {
        Conditions {
            now: Timestamp(now),
            span: Span::from_secs(300),
            quiet_until: None,
            full_until: None,
        }
    }

    fn one(subject: i64) -> Occurrence {
        Occurrence { subject, count: 1, sample: subject }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_rest_as_one_digest() {
        let mut window = None;
        let put = |window: &mut _, now| place(window, &one(7), Urgency::Grouped, &at(now));
        assert_eq!(put(&mut window, 0), Disposition::SendNow);
        assert_eq!(put(&mut window, 1), Disposition::Buffered);
        assert_eq!(put(&mut window, 5 * MINUTE - 1), Disposition::Buffered);
        assert_eq!(close(&mut window, &at(5 * MINUTE - 1)), None);
        let (opened, counts) = close(&mut window, &at(5 * MINUTE)).unwrap();
        assert_eq!((opened, counts.count, counts.is_sequel), (Timestamp(0), 2, true));
        // Nothing more comes, so the storm is over.
        assert_eq!(close(&mut window, &at(15 * MINUTE)), None);
        assert_eq!(put(&mut window, 16 * MINUTE), Disposition::SendNow);
    }

    #[test]
    fn a_storm_that_had_to_wait_begins_with_its_first_digest() {
        let quiet = Conditions { quiet_until: Some(Timestamp(10 * MINUTE)), ..at(0) };
        let mut window = None;
        assert_eq!(place(&mut window, &one(1), Urgency::Grouped, &quiet), Disposition::Buffered);
        let (_, first) = close(&mut window, &at(10 * MINUTE)).unwrap();
        assert_eq!((first.count, first.is_sequel), (1, false));
        place(&mut window, &one(1), Urgency::Grouped, &at(11 * MINUTE));
        let (_, second) = close(&mut window, &at(30 * MINUTE)).unwrap();
        assert!(second.is_sequel);
    }

    #[test]
    fn windows_grow_to_an_hour_while_the_storm_lasts() {
        let mut window = None;
        let mut digests = Vec::new();
        for second in 0..4 * 3_600 {
            let conditions = at(second * 1_000);
            if close(&mut window, &conditions).is_some() {
                digests.push(second / 60);
            }
            place(&mut window, &one(1), Urgency::Grouped, &conditions);
        }
        assert_eq!(digests, [5, 15, 35, 75, 135, 195]);
    }

    #[test]
    fn quiet_hours_and_a_full_channel_hold_back_and_lose_nothing() {
        let mut window = None;
        let quiet = Conditions { quiet_until: Some(Timestamp(60 * MINUTE)), ..at(0) };
        assert_eq!(place(&mut window, &one(1), Urgency::Grouped, &quiet), Disposition::Buffered);
        let full = Conditions { full_until: Some(Timestamp(90 * MINUTE)), ..at(60 * MINUTE) };
        assert_eq!(close(&mut window, &full), None);
        assert_eq!(close(&mut window, &at(90 * MINUTE)).unwrap().1.count, 1);
    }

    #[test]
    fn the_worst_offender_is_found_among_many() {
        let mut counts = DigestCounts::default();
        for number in 0..10_000_i64 {
            counts.add(&one(number));
            if number % 10 == 0 {
                counts.add(&one(-1));
            }
        }
        let counts = counts.ranked();
        assert_eq!((counts.count, counts.offenders.len()), (11_000, OFFENDERS_MAX));
        assert_eq!(counts.offenders[0].subject, -1);
        assert!(counts.offenders[0].count >= 1_000);
        assert!(counts.offenders[0].count - counts.offenders[0].inherited <= 1_000);
        assert_eq!(counts.samples.len(), SAMPLES_MAX);
    }

    #[derive(Clone, Debug)]
    struct Step {
        pause: i64,
        subject: i64,
        count: u32,
        urgency: Urgency,
        quiet: Option<i64>,
        full: Option<i64>,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let urgency = prop_oneof![4 => Just(Urgency::Grouped), 1 => Just(Urgency::AtOnce)];
        let held = || proptest::option::weighted(0.2, 1_i64..100 * MINUTE);
        let step = (0_i64..10 * MINUTE, 0_i64..150, 1_u32..1_000, urgency, held(), held());
        let step = step.prop_map(|(pause, subject, count, urgency, quiet, full)| Step {
            pause,
            subject,
            count,
            urgency,
            quiet,
            full,
        });
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn totals_are_exact_and_no_lock_waits_for_any_sequence(steps in steps()) {
            let (mut window, mut now) = (None, 0);
            let (mut happened, mut told, mut digests) = (0_u64, 0_u64, 0_u64);
            for step in &steps {
                now += step.pause;
                let conditions = Conditions {
                    quiet_until: step.quiet.map(|quiet| Timestamp(now + quiet)),
                    full_until: step.full.map(|full| Timestamp(now + full)),
                    ..at(now)
                };
                if step.subject % 3 == 0 && let Some((_, counts)) = close(&mut window, &conditions) {
                    told += counts.count;
                    digests += 1;
                }
                let occurrence = Occurrence { subject: step.subject, count: step.count, sample: 1 };
                happened += u64::from(step.count);
                let before = window.clone();
                match place(&mut window, &occurrence, step.urgency, &conditions) {
                    Disposition::SendNow => told += u64::from(step.count),
                    Disposition::Buffered => prop_assert_eq!(step.urgency, Urgency::Grouped),
                }
                if step.urgency == Urgency::AtOnce {
                    prop_assert_eq!(&window, &before, "no window knows of it");
                }
            }
            let open = window.as_ref().map_or(0, |open| open.counts.count);
            prop_assert_eq!(told + open, happened);
            let end = at(now + 1_000 * MINUTE);
            told += close(&mut window, &end).map_or(0, |(_, counts)| counts.count);
            prop_assert_eq!(told, happened);
            // Digests are at least a window apart.
            prop_assert!(digests <= u64::try_from(now / (5 * MINUTE)).unwrap() + 1);
        }

        #[test]
        fn who_caused_how_many_is_exact_for_a_hundred(
            events in proptest::collection::vec((0_i64..100, 1_u32..9), 0..500)
        ) {
            let mut counts = DigestCounts::default();
            for (subject, count) in &events {
                counts.add(&Occurrence { subject: *subject, count: *count, sample: 0 });
            }
            for offender in &counts.offenders {
                let exact: u64 = events.iter().filter(|(subject, _)| *subject == offender.subject)
                    .map(|(_, count)| u64::from(*count)).sum();
                prop_assert_eq!((offender.count, offender.inherited), (exact, 0));
            }
            prop_assert_eq!(counts.offenders.iter().map(|known| known.count).sum::<u64>(), counts.count);
        }
    }
}

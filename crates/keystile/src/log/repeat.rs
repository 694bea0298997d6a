//! What is said over and over: a few times in a while, then only how often.
//!
//! A place in the code may write so many lines in a while, and fewer of those that are the same to the
//! letter: an upstream that is down must not hide that another one is. Levels below `info` are asked for by
//! whoever sets them, and are never left out.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// What the log says about itself.
pub(super) const OWN_TARGET: &str = "keystile::log";
/// The while.
const WINDOW: Duration = Duration::from_secs(10);
/// So many lines of one place in the code.
const OF_ONE_PLACE: u32 = 50;
/// So many of them that are the same.
const ALIKE: u32 = 5;
/// So many different lines are remembered.
const REMEMBERED_MAX: usize = 4096;

/// Leaves events out.
#[derive(Debug)]
pub(super) struct RepeatLayer(pub(super) Arc<RepeatLimit>);

impl<S: Subscriber> Layer<S> for RepeatLayer {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_asked_for = *metadata.level() > Level::INFO;
        is_asked_for
            || metadata.target() == OWN_TARGET
            || self.0.admit(&Said::of(event), Instant::now())
    }
}

/// An event, as far as it matters here.
struct Said {
    level: Level,
    message: String,
    place: u64,
    text: u64,
}

impl Said {
    fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut place = DefaultHasher::new();
        metadata.callsite().hash(&mut place);
        let mut reading = Reading { message: String::new(), text: Hashed(place.clone()) };
        event.record(&mut reading);
        Self {
            level: *metadata.level(),
            message: if reading.message.is_empty() { name(metadata) } else { reading.message },
            place: place.finish(),
            text: reading.text.0.finish(),
        }
    }
}

fn name(metadata: &Metadata<'_>) -> String {
    metadata.name().to_owned()
}

struct Reading {
    message: String,
    text: Hashed,
}

/// What is written to it becomes part of the hash.
struct Hashed(DefaultHasher);

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Visit for Reading {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a hash or a string does not fail; a value that fails to say itself is like another.
        let _ = write!(self.text, "{}={value:?};", field.name());
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        }
    }
}

/// How often something was said in its window.
#[derive(Debug)]
struct Count {
    until: Instant,
    written: u32,
    left_out: u64,
    level: Level,
    message: String,
}

/// How often a message was left out.
#[derive(Debug)]
pub(super) struct Summary {
    level: Level,
    message: String,
    times: u64,
}

impl Summary {
    /// Logs it at the level of what was left out.
    pub(super) fn log(&self) {
        const TEXT: &str = "a message came so often that it was left out at times";
        let Self { level, message, times } = self;
        match *level {
            Level::ERROR => {
                tracing::error!(target: OWN_TARGET, repeated = message, times, "{TEXT}");
            }
            Level::WARN => tracing::warn!(target: OWN_TARGET, repeated = message, times, "{TEXT}"),
            _ => tracing::info!(target: OWN_TARGET, repeated = message, times, "{TEXT}"),
        }
    }
}

/// What was said lately.
#[derive(Debug, Default)]
pub(super) struct RepeatLimit {
    counts: Mutex<HashMap<u64, Count>>,
}

impl RepeatLimit {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, said: &Said, now: Instant) -> bool {
        let mut counts = self.lock();
        if counts.len() >= REMEMBERED_MAX {
            counts.retain(|_, count| now < count.until || count.left_out > 0);
        }
        let of_place = count(&mut counts, said.place, said, now);
        if of_place.written >= OF_ONE_PLACE {
            of_place.left_out += 1;
            return false;
        }
        if counts.len() < REMEMBERED_MAX || counts.contains_key(&said.text) {
            let alike = count(&mut counts, said.text, said, now);
            if alike.written >= ALIKE {
                alike.left_out += 1;
                return false;
            }
            alike.written += 1;
        }
        count(&mut counts, said.place, said, now).written += 1;
        true
    }

    /// What was left out in windows that are over; they are forgotten.
    pub(super) fn end_over(&self, now: Instant) -> Vec<Summary> {
        self.end(|count| now >= count.until)
    }

    /// What was left out until now.
    pub(super) fn end_all(&self) -> Vec<Summary> {
        self.end(|_| true)
    }

    fn end(&self, is_over: impl Fn(&Count) -> bool) -> Vec<Summary> {
        let over = self.lock().extract_if(|_, count| is_over(count)).collect::<Vec<_>>();
        over.into_iter()
            .filter(|(_, count)| count.left_out > 0)
            .map(|(_, Count { level, message, left_out, .. })| Summary {
                level,
                message,
                times: left_out,
            })
            .collect()
    }
}

/// The count under a key, of the window that `now` is in.
fn count<'a>(
    counts: &'a mut HashMap<u64, Count>,
    key: u64,
    said: &Said,
    now: Instant,
) -> &'a mut Count {
    let count = counts.entry(key).or_insert_with(|| Count {
        until: now + WINDOW,
        written: 0,
        left_out: 0,
        level: said.level,
        message: said.message.clone(),
    });
    if now >= count.until {
        // Nobody has summed up the last window yet; what it left out is told with this one's.
        count.until = now + WINDOW;
        count.written = 0;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(place: u64, text: u64) -> Said {
        Said { level: Level::WARN, message: format!("message {place}"), place, text }
    }

    fn admitted(limit: &RepeatLimit, said: &Said, times: u32, now: Instant) -> u32 {
        (0..times).map(|_| u32::from(limit.admit(said, now))).sum()
    }

    #[test]
    fn each_line_is_written_or_counted_once() {
        let (limit, now) = (RepeatLimit::default(), Instant::now());
        assert_eq!(admitted(&limit, &said(1, 11), 1000, now), ALIKE);
        // Another upstream that is down is told all the same, and another place in the code too.
        assert_eq!(admitted(&limit, &said(1, 12), 1, now), 1);
        assert_eq!(admitted(&limit, &said(2, 21), 3, now), 3);
        let different = (100..1100).map(|text| admitted(&limit, &said(1, text), 1, now));
        assert_eq!(different.sum::<u32>(), OF_ONE_PLACE - ALIKE - 1);
        assert!(limit.end_over(now + WINDOW / 2).is_empty());
        let summed = limit.end_over(now + WINDOW);
        let total: u64 = summed.iter().map(|summary| summary.times).sum();
        assert_eq!(total, 2004 - u64::from(OF_ONE_PLACE) - 3);
        assert!(summed.iter().all(|summary| summary.message == "message 1"));
        assert!(limit.end_all().is_empty(), "a count is told once");
        assert_eq!(admitted(&limit, &said(1, 11), 9, now + WINDOW), ALIKE);
    }

    #[test]
    fn a_count_that_nobody_summed_up_is_told_later() {
        let (limit, now) = (RepeatLimit::default(), Instant::now());
        admitted(&limit, &said(1, 11), 8, now);
        assert_eq!(admitted(&limit, &said(1, 11), 8, now + WINDOW), ALIKE);
        let total: u64 = limit.end_all().iter().map(|summary| summary.times).sum();
        assert_eq!(total, 6);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (limit, now) = (RepeatLimit::default(), Instant::now());
        for place in 0..200 {
            admitted(&limit, &said(place, 0), 1, now);
            for text in 0..60 {
                limit.admit(&said(place, 1_000 * (place + 1) + text), now);
            }
        }
        // A place in the code has a count of its own, whatever it says.
        assert!(limit.lock().len() <= REMEMBERED_MAX + 200);
    }
}

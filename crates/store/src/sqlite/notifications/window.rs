//! What a plan depends on, as the database keeps it: windows of rules on channels, and how channels stand.

use std::collections::btree_map::Entry;

use keystile_core::notifications::channel::ChannelRule;
use keystile_core::notifications::digest::{Urgency, Window};
use keystile_core::notifications::plan::{self, ChannelState, OpenWindow, State, routes};
use keystile_core::notifications::watch::WatchRules;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::sqlite::notifications::outbox::{gone, sent_times, trigger_of};
use crate::sqlite::notifications::{stop_digests, subscription};

/// Whether it matters how many messages a channel has carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Matters,
    DoesNotMatter,
}

/// What a plan of events depends on.
pub(crate) fn load(
    connection: &Connection,
    rules: &WatchRules,
    events: &[plan::Event],
    now: Timestamp,
) -> Result<State> {
    let mut state = State::default();
    for event in events {
        for (place, channel) in routes(rules, event) {
            let room = match event.trigger.urgency() {
                Urgency::AtOnce => Room::DoesNotMatter,
                Urgency::Grouped => {
                    let name = (rules.rules()[place].name.clone(), channel.name.clone());
                    let open = match state.windows.entry(name) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => {
                            let (rule, channel) = new.key().clone();
                            new.insert(read(connection, &rule, &channel)?)
                        }
                    };
                    if open.is_counting(now) { Room::DoesNotMatter } else { Room::Matters }
                }
            };
            load_channel(connection, &mut state, channel, room)?;
        }
    }
    Ok(state)
}

pub(super) fn load_channel(
    connection: &Connection,
    state: &mut State,
    channel: &ChannelRule,
    room: Room,
) -> Result<()> {
    let known = match state.channels.entry(channel.name.clone()) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(channel_state(connection, channel)?),
    };
    if room == Room::Matters && known.sent.is_empty() {
        known.sent = sent_times(connection, channel)?;
    }
    Ok(())
}

/// A channel, without the times of its messages.
pub(crate) fn channel_state(
    connection: &Connection,
    channel: &ChannelRule,
) -> Result<ChannelState> {
    let stops = stop_digests::list(connection, &channel.name)?;
    Ok(ChannelState {
        sent: Vec::new(),
        gone: gone(connection, &channel.name)?,
        devices: if channel.spec.is_for_devices() {
            subscription::ids(connection)?
        } else {
            Vec::new()
        },
        stops: stops.into_iter().map(|stop| (stop.rule, stop.receiver)).collect(),
    })
}

/// The window of a rule on a channel. By the primary key.
pub(super) fn read(connection: &Connection, rule: &str, channel: &str) -> Result<OpenWindow> {
    let mut statement = connection.prepare_cached(
        "SELECT opened, until, step, tally, thread, kind FROM digest WHERE rule = ?1 AND channel = ?2",
    )?;
    let found: Option<Result<OpenWindow>> = statement
        .query_and_then([rule, channel], |row| {
            let (counts, trigger): (String, String) = (row.get(3)?, row.get(5)?);
            let counts = serde_json::from_str(&counts)
                .map_err(|error| Error::Corrupt(format!("a digest cannot be read: {error}")))?;
            let window = Window {
                opened: Timestamp(row.get(0)?),
                until: Timestamp(row.get(1)?),
                step: row.get(2)?,
                counts,
            };
            let trigger = Some(trigger_of(&trigger)?);
            Ok(OpenWindow { window: Some(window), thread: row.get(4)?, trigger })
        })?
        .next();
    Ok(found.transpose()?.unwrap_or_default())
}

/// Keeps the window of a rule on a channel, or forgets it where none is open.
pub(crate) fn save(
    connection: &Connection,
    rule: &str,
    channel: &str,
    open: &OpenWindow,
) -> Result<()> {
    let (Some(window), Some(trigger)) = (&open.window, open.trigger) else {
        connection
            .prepare_cached("DELETE FROM digest WHERE rule = ?1 AND channel = ?2")?
            .execute([rule, channel])?;
        return Ok(());
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO digest (rule, channel, kind, thread, opened, until, step, tally)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            rule,
            channel,
            trigger.name(),
            open.thread,
            window.opened.0,
            window.until.0,
            window.step,
            serde_json::to_string(&window.counts).expect("counts are numbers"),
        ])?;
    Ok(())
}

//! Digests: the windows that are due are closed, and what each has counted is sent as one message.

use keystile_core::notifications::notice::Notice;
use keystile_core::notifications::plan::{self, State};
use keystile_core::notifications::trigger::Trigger;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::time::Timestamp;
use rusqlite::Connection;

use crate::error::Result;
use crate::sqlite::notifications::window::{self, Room};
use crate::sqlite::writer::write_tx::WriteTx;

impl WriteTx<'_> {
    /// Sends the digests of windows that are due. Says how many.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(crate) fn close_digests(&mut self) -> Result<usize> {
        let rules = self.watching();
        let state = load_due(self.connection, &rules, self.now)?;
        let plan = plan::close_digests(&rules, state, self.now);
        for channel in &plan.lost {
            tracing::warn!(
                channel,
                "a channel is gone, and with it the digest that it was to carry"
            );
        }
        self.save(&plan, |tx, _| Ok(Notice::new(Trigger::Write, tx.now)))
    }
}

/// Whether a digest is due.
pub(crate) fn is_due(connection: &Connection, now: Timestamp) -> Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM digest WHERE until <= ?1)")?;
    Ok(statement.query_row([now.0], |row| row.get(0))?)
}

/// The windows that are due, with their channels.
fn load_due(connection: &Connection, rules: &WatchRules, now: Timestamp) -> Result<State> {
    let mut statement =
        connection.prepare_cached("SELECT rule, channel FROM digest WHERE until <= ?1")?;
    let due: Vec<(String, String)> = statement
        .query_and_then([now.0], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_>>()?;
    let mut state = State::default();
    for (rule, name) in due {
        let open = window::read(connection, &rule, &name)?;
        if let Some(channel) = rules.channel(&name) {
            window::load_channel(connection, &mut state, channel, Room::Matters)?;
        }
        state.windows.insert((rule, name), open);
    }
    Ok(state)
}

//! Digests that somebody stopped: a mailbox that had enough of what a rule tells in sum.

use keystile_core::actor::Actor;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, params};

use crate::deliveries::DigestStop;
use crate::error::Result;
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::writer::write_tx::WriteTx;

/// The stops of a channel, by rule.
pub(crate) fn list(connection: &Connection, channel: &str) -> Result<Vec<DigestStop>> {
    let mut statement = connection.prepare_cached(
        "SELECT rule, receiver, since FROM digest_stop WHERE channel = ?1 ORDER BY rule, receiver",
    )?;
    statement
        .query_and_then([channel], |row| {
            Ok(DigestStop {
                rule: row.get(0)?,
                receiver: row.get(1)?,
                since: Timestamp(row.get(2)?),
            })
        })?
        .collect()
}

/// Whether a receiver takes no more digests of a rule.
pub(crate) fn is_stopped(
    connection: &Connection,
    channel: &str,
    rule: &str,
    receiver: &str,
) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM digest_stop WHERE channel = ?1 AND rule = ?2 AND receiver = ?3)",
    )?;
    Ok(statement.query_row([channel, rule, receiver], |row| row.get(0))?)
}

impl WriteTx<'_> {
    /// Stops the digests of a rule to a receiver. One that is stopped stays as it is.
    pub(crate) fn stop_digests(
        &mut self,
        channel: &str,
        rule: &str,
        receiver: &str,
        actor: &Actor,
    ) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT OR IGNORE INTO digest_stop (channel, rule, receiver, since)
             VALUES (?1, ?2, ?3, ?4)",
        )?;
        if statement.execute(params![channel, rule, receiver, self.now.0])? > 0 {
            let detail = format!("{rule} to {receiver}");
            self.record_event(&Event::named(
                EventKind::DigestsStopped,
                Some(channel),
                actor,
                &detail,
            ))?;
        }
        Ok(())
    }

    /// Lets all digests of a channel go out again. Says how many were stopped.
    pub(crate) fn resume_digests(&mut self, channel: &str, actor: &Actor) -> Result<usize> {
        let mut statement =
            self.connection.prepare_cached("DELETE FROM digest_stop WHERE channel = ?1")?;
        let resumed = statement.execute([channel])?;
        if resumed > 0 {
            let detail = format!("{resumed} stopped");
            self.record_event(&Event::named(
                EventKind::DigestsResumed,
                Some(channel),
                actor,
                &detail,
            ))?;
        }
        Ok(resumed)
    }
}

//! Meters: counters that are decided on in memory and kept here.

use std::sync::atomic::Ordering;

use keystile_core::time::{Span, Timestamp};

use crate::doors::meters::MeterValue;
use crate::error::Result;
use crate::sqlite::meters::{PutRule, listing, rows};
use crate::store::Store;

/// Ended meters that are deleted in one transaction.
const DELETED_AT_ONCE: u32 = 2_000;

impl Store {
    /// All meters whose window has not ended at a time, by owner, name and start.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn meters_at(&self, time: Timestamp) -> Result<Vec<MeterValue>> {
        self.query(move |connection| listing::list_at(connection, time)).await
    }

    /// Keeps values, each where it is larger than the one that is kept. They are durable once this returns
    /// `Ok`; all that wait at once share one commit, and values of one meter in it one statement. They are kept
    /// also where whoever asked stops waiting.
    ///
    /// # Errors
    /// `Conflict` for more than [`METERS_AT_ONCE_MAX`](crate::doors::meters::METERS_AT_ONCE_MAX) values, or an owner
    /// or name of a wrong length; `Unavailable` when the store cannot commit, and nothing is kept then;
    /// `Unanswered` when it does not in time, and the values may still be kept later.
    pub async fn put_meters(&self, values: Vec<MeterValue>) -> Result<()> {
        self.begin_put_meters(values)?.await
    }

    /// Keeps values also where they are smaller than those that are kept, as of a counter that was put right.
    ///
    /// # Errors
    /// As [`Store::put_meters`].
    pub async fn set_meters(&self, values: Vec<MeterValue>) -> Result<()> {
        self.begin_set_meters(values)?.await
    }

    /// The same as [`Store::put_meters`] for whoever counts under a lock and waits outside of it: once this
    /// returns, the values come before all that is put after them. What it gives waits until they are durable.
    ///
    /// # Errors
    /// As [`Store::put_meters`], from this or from what it gives.
    pub fn begin_put_meters(
        &self,
        values: Vec<MeterValue>,
    ) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
        self.sqlite().writer().begin_put_meters(values, PutRule::KeepLarger)
    }

    /// The same as [`Store::set_meters`], as [`Store::begin_put_meters`] is to [`Store::put_meters`].
    ///
    /// # Errors
    /// As [`Store::begin_put_meters`].
    pub fn begin_set_meters(
        &self,
        values: Vec<MeterValue>,
    ) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
        self.sqlite().writer().begin_put_meters(values, PutRule::Replace)
    }

    /// Keeps values as [`Store::put_meters`] does, some time soon, and does not wait for it: they share the
    /// next commit, and are tried again when that fails. [`Store::flush`] waits for them.
    ///
    /// # Errors
    /// As [`Store::put_meters`], but only while the store is known not to commit; the values are not taken
    /// then.
    pub fn put_meters_later(&self, values: Vec<MeterValue>) -> Result<()> {
        self.sqlite().writer().put_meters_later(values)
    }

    /// How long meters are kept after their window has ended; two days where nothing else was set.
    pub fn set_meter_retention(&self, retention: Span) {
        self.meter_retention.store(retention.millis(), Ordering::Relaxed);
    }

    /// Deletes some of the meters that ended longer ago than they are kept. Says how many went, and commits
    /// nothing where there are none.
    ///
    /// # Errors
    /// When the store cannot be read or cannot commit.
    pub async fn delete_ended_meters(&self) -> Result<usize> {
        let retention = self.meter_retention.load(Ordering::Relaxed);
        let end = Timestamp(self.now().0.saturating_sub(retention));
        if !self.query(move |connection| rows::has_ended(connection, end)).await? {
            return Ok(0);
        }
        self.write(move |tx| rows::delete_ended(tx.connection, end, DELETED_AT_ONCE)).await
    }
}

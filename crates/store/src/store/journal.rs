//! The journal, as owners read it.

use keystile_core::journal::counts::{Activity, AddressUse, HourCount};
use keystile_core::journal::{RecordId, WriteRecord};
use keystile_core::time::{Span, Timestamp};

use crate::error::Result;
use crate::journal::RecordOwner;
use crate::keys::KeyRef;
use crate::sent::writes::{JournalPosition, PageLimits, SentWritesPage};
use crate::sqlite::journal::hour::{self};
use crate::sqlite::journal::listing::{self, RecordPage};
use crate::sqlite::journal::query::RecordQuery;
use crate::sqlite::journal::{named, retention, sent};
use crate::store::Store;

impl Store {
    /// Records that fit a query, however long it takes to find them.
    ///
    /// # Errors
    /// `Missing` when there is no such key or application; when the store cannot be read.
    pub async fn list_records(
        &self,
        owner: RecordOwner,
        query: RecordQuery,
    ) -> Result<Vec<WriteRecord>> {
        let RecordOwner { key, application } = owner;
        self.query(move |connection| {
            let query = named::resolve(connection, (key, application), query)?;
            listing::list(connection, &query)
        })
        .await
    }

    /// A page of the records that fit a query, found with a bounded amount of work.
    ///
    /// # Errors
    /// As [`Store::list_records`].
    pub async fn record_page(&self, owner: RecordOwner, query: RecordQuery) -> Result<RecordPage> {
        let RecordOwner { key, application } = owner;
        self.query(move |connection| {
            let query = named::resolve(connection, (key, application), query)?;
            listing::page(connection, &query)
        })
        .await
    }

    /// Where the journal ends, for whoever counts writes from now on.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn journal_end(&self) -> Result<JournalPosition> {
        self.query(sent::end).await
    }

    /// Counts the writes after a position that went out with imported keys of an origin, as far as a page goes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sent_writes(
        &self,
        origin: String,
        from: JournalPosition,
        limits: PageLimits,
    ) -> Result<SentWritesPage> {
        let now = self.now();
        self.query(move |connection| sent::count(connection, &origin, &from, now, limits)).await
    }

    /// How many records lie between two.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn count_between(&self, after: RecordId, before: RecordId) -> Result<u64> {
        self.query(move |connection| retention::count_between(connection, after, before)).await
    }

    /// Deletes records before a time, at most so many at once, and says how many went.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn delete_records_before(&self, time: Timestamp, limit: u32) -> Result<usize> {
        self.write(move |tx| tx.delete_records_before(time, limit)).await
    }

    /// How many records the journal has.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn count_records(&self) -> Result<u64> {
        self.query(retention::count).await
    }

    /// Writes and refusals of each hour that overlaps a period and had any, earliest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn writes_by_hour(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<HourCount>> {
        self.query(move |connection| hour::writes_by_hour(connection, since, until)).await
    }

    /// What a key did in some slots of equal length from a time on, and the addresses that it was last used
    /// from.
    ///
    /// # Errors
    /// `Missing` when there is no such key; when the store cannot be read.
    pub async fn key_activity(
        &self,
        key: KeyRef,
        since: Timestamp,
        (slot, slots): (Span, u16),
        addresses: usize,
    ) -> Result<(Activity, Vec<AddressUse>)> {
        let (slots, millis) = (usize::from(slots), slot.millis());
        self.query(move |connection| {
            named::activity(connection, &key, since, (slots, millis), addresses)
        })
        .await
    }
}

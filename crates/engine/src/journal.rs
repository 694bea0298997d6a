//! What owners read in the journal.
//!
//! The public methods read beside the writer and block for as long as that takes, usually a few
//! milliseconds: call them off the threads that serve requests. They show what is durable; refusals
//! of the last second may be missing.

use std::net::IpAddr;

use keystile_core::journal::{RecordId, WriteRecord};
use keystile_core::time::{Span, Timestamp};
use keystile_store::sqlite::journal::{
    self, Activity, AddressUse, Direction, HourCount, RecordPage, RecordQuery,
};
use keystile_store::sqlite::keys::key;

use crate::Engine;
use crate::command::{Failure, Order, RecordFilter};
use crate::execute::LISTED_MAX;
use crate::legacy::Answer;

const HOUR: Span = Span::from_secs(3_600);
/// Addresses shown with a key.
const ADDRESSES_SHOWN: usize = 20;

/// What a key did lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyActivity {
    /// Its records by time, earliest first.
    pub records: Activity,
    /// When the first slot begins.
    pub since: Timestamp,
    /// How long each slot is.
    pub slot: Span,
    /// The addresses that it was last used from, the last first.
    pub addresses: Vec<AddressUse>,
}

impl Engine {
    pub(crate) async fn list_records(&self, filter: &RecordFilter) -> Result<Answer, Failure> {
        self.write_refused();
        // A store that cannot commit can still be read.
        let _ = self.store.flush().await;
        let query = self.query(filter)?;
        Ok(self.store.read(|read| journal::list(read, &query)).map(Answer::Records)?)
    }

    /// A page of the records that fit a filter, found with a bounded amount of work.
    ///
    /// A page that says that it has not `searched_all` may be short or empty although more records fit
    /// further on: go on with `next`, by [`Order::Before`] when the latest come first and by
    /// [`Order::After`] otherwise. Blocks.
    pub fn record_page(&self, filter: &RecordFilter) -> Result<RecordPage, Failure> {
        let query = self.query(filter)?;
        Ok(self.store.read(|read| journal::page(read, &query))?)
    }

    /// The records after one, or the latest where `None`, earliest first; for showing them as they come.
    ///
    /// Pending ones are among them: a record's outcome is in a later reading of it. Blocks.
    pub fn latest_records(
        &self,
        after: Option<RecordId>,
        limit: u32,
    ) -> Result<Vec<WriteRecord>, Failure> {
        let order = after.map_or(Order::Latest, Order::After);
        let filter = RecordFilter { order, limit, ..RecordFilter::default() };
        let mut records = self.record_page(&filter)?.records;
        if after.is_none() {
            records.reverse();
        }
        Ok(records)
    }

    /// Writes and refusals of each hour that overlaps a period and had any, earliest first. Exact, and
    /// independent of retention. Blocks.
    pub fn writes_by_hour(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<HourCount>, Failure> {
        Ok(self.store.read(|read| journal::writes_by_hour(read, since, until))?)
    }

    /// The hour that `now` lies in and the 23 before it, earliest first, also those that had nothing.
    /// What owners see as the last 24 hours, wherever they see it. Blocks.
    pub fn last_day(&self, now: Timestamp) -> Result<Vec<HourCount>, Failure> {
        let hour = HOUR.millis();
        let start = |place: i64| Timestamp((now.0.div_euclid(hour) - 23 + place) * hour);
        let counted = self.writes_by_hour(start(0), now.plus(HOUR))?;
        let hours = (0..24).map(|place| {
            let hour_start = start(place);
            let found = counted.iter().find(|hour| hour.hour_start == hour_start).copied();
            found.unwrap_or(HourCount { hour_start, writes: 0, refused: 0 })
        });
        Ok(hours.collect())
    }

    /// What a key, by its id, prefix or text, did in slots of equal length up to now, and where it was
    /// used from. Looks at its latest records only, and says so where there are more. Blocks.
    pub fn key_activity(&self, key: &str, slot: Span, slots: u16) -> Result<KeyActivity, Failure> {
        let row = self.find_key(key)?.row;
        let covered = slot.millis().saturating_mul(i64::from(slots.max(1)));
        let since = Timestamp(self.store.now().0.saturating_sub(covered).saturating_add(1));
        let (records, addresses) = self.store.read(|read| {
            let (slots, millis) = (usize::from(slots), slot.millis());
            let records = journal::activity_of_subject(read, row, since, slots, millis)?;
            Ok((records, journal::addresses_of_subject(read, row, ADDRESSES_SHOWN)?))
        })?;
        Ok(KeyActivity { records, since, slot, addresses })
    }

    /// What the store is asked for a filter.
    fn query(&self, filter: &RecordFilter) -> Result<RecordQuery, Failure> {
        let key = filter.key.as_deref().map(|key| self.find_key(key)).transpose()?;
        let find = |name: &String| self.store.read(|read| key::application_row_of(read, name));
        let application = filter.application.as_ref().map(find).transpose()?;
        let (before, after) = match filter.order {
            Order::Latest | Order::Earliest => (None, None),
            Order::Before(id) => (Some(id), None),
            Order::After(id) => (None, Some(id)),
            Order::Only(id) => {
                (Some(RecordId(id.0.saturating_add(1))), Some(RecordId(id.0.saturating_sub(1))))
            }
        };
        // The journal has addresses as they are usually written.
        let usual = |address: &String| match address.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().to_string(),
            Err(_) => address.clone(),
        };
        Ok(RecordQuery {
            subject: key.map(|key| key.row),
            application,
            api: filter.api.clone(),
            operation: filter.operation.clone(),
            method: filter.method.clone(),
            address: filter.address.as_ref().map(usual),
            outcome: filter.outcome,
            since: filter.since,
            until: filter.until,
            before,
            after,
            direction: match filter.order {
                Order::Latest | Order::Before(_) | Order::Only(_) => Direction::LatestFirst,
                Order::Earliest | Order::After(_) => Direction::EarliestFirst,
            },
            limit: if filter.limit == 0 { LISTED_MAX } else { filter.limit.min(LISTED_MAX) },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keystile_core::budget::Quota;
    use keystile_core::journal::{Outcome, RequestFacts};
    use keystile_core::key::KeyPrefix;
    use keystile_core::lock::Actor;
    use keystile_core::policy::Policy;
    use keystile_core::refusal::Reason;
    use keystile_store::Store;
    use keystile_store::sqlite::files::directory::DataDirectory;
    use keystile_store::sqlite::ledger::reserve::RefusedRecord;

    use super::*;
    use crate::EngineSettings;
    use crate::legacy::Command;

    fn engine(folder: &std::path::Path) -> Arc<Engine> {
        let (store, _) = Store::open(DataDirectory::hold(folder).unwrap()).unwrap();
        let settings = EngineSettings {
            key_prefix: KeyPrefix::default(),
            retention: None,
            key_failures: "10 per minute".parse::<Quota>().unwrap(),
            console_url: "http://localhost:7080".to_owned(),
            gate: Vec::new(),
            watching: Arc::default(),
        };
        let policy = Policy::new(Vec::new(), Vec::new(), jiff::tz::TimeZone::UTC);
        Arc::new(Engine::new(store, policy, settings))
    }

    #[tokio::test]
    async fn pages_hours_and_activity_are_of_the_key_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        let command = Command::CreateKeys {
            application: "reader".to_owned(),
            plan: Some("open".to_owned()),
            count: 1,
        };
        let owner = Actor::CommandLine("owner".to_owned());
        let Answer::NewKeys(keys) = engine.execute_legacy(command, owner).await else { panic!() };
        let row = engine.find_key(&keys[0].id).unwrap();
        let facts = RequestFacts {
            api: "bookmarks".to_owned(),
            operation: "DELETE *".to_owned(),
            method: "DELETE".to_owned(),
            path: "/x".to_owned(),
            address: "2001:db8::1".parse().unwrap(),
            user_agent: None,
            request_bytes: None,
        };
        let of = |key| RefusedRecord {
            key,
            facts: facts.clone(),
            reason: Reason::KeyUnknown,
            outcome: Outcome::Refused,
            count: 2,
        };
        let entry = engine.store().keys().find(&row.hash);
        engine.store().record_refused(vec![
            of(None),
            of(entry.clone()),
            of(entry.clone()),
            of(None),
        ]);
        engine.store().flush().await.unwrap();
        let ids = |page: &RecordPage| page.records.iter().map(|it| it.id.0).collect::<Vec<_>>();
        let filter = RecordFilter {
            application: Some("reader".to_owned()),
            address: Some("2001:DB8:0::1".to_owned()),
            limit: 1,
            ..RecordFilter::default()
        };
        let first = engine.record_page(&filter).unwrap();
        assert_eq!(
            (ids(&first), first.next, first.searched_all),
            (vec![3], Some(RecordId(3)), true)
        );
        let rest = RecordFilter { order: Order::Before(RecordId(3)), ..filter };
        let second = engine.record_page(&rest).unwrap();
        assert_eq!((ids(&second), second.next), (vec![2], None));
        let nobody = RecordFilter { application: Some("nobody".to_owned()), ..rest };
        assert!(engine.record_page(&nobody).unwrap_err().message.contains("nobody"));
        let latest = engine.latest_records(None, 3).unwrap();
        assert_eq!(latest.iter().map(|it| it.id.0).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(engine.latest_records(Some(RecordId(3)), 9).unwrap(), latest[2..]);
        let now = engine.store().now();
        let hours = engine.writes_by_hour(Timestamp(0), now.plus(Span::from_secs(1))).unwrap();
        // One hour, or two where the clock has just struck.
        assert_eq!(hours.iter().map(|hour| hour.refused).sum::<u64>(), 8);
        assert!(hours.iter().all(|hour| hour.writes == 0));
        let activity = engine.key_activity(&row.prefix, Span::from_secs(3_600), 24).unwrap();
        assert_eq!((activity.records.slots.len(), activity.records.slots[23]), (24, 2));
        assert_eq!((activity.addresses.len(), activity.addresses[0].requests), (1, 4));
    }
}

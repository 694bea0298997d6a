//! What owners read in the journal. It shows what is durable; refusals of the last second may be missing from
//! all but [`ListRecords`].

use std::net::IpAddr;
use std::sync::Arc;

use keystile_core::journal::counts::{Activity, AddressUse, HourCount};
use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::owners::scope::Scope;
use keystile_core::time::{Span, Timestamp};
use keystile_store::journal::{Direction, RecordOwner, RecordPage, RecordQuery};
use serde::{Deserialize, Serialize};

use crate::command::failure::key_failure;
use crate::command::input::listed_limit;
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;

const HOUR: Span = Span::from_secs(3_600);
/// Addresses shown with a key.
const ADDRESSES_SHOWN: usize = 20;

/// Which records to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFilter {
    /// Only those of this key: its id, prefix or text.
    pub key: Option<String>,
    /// Only those of this application, by name.
    pub application: Option<String>,
    /// Only those of this API.
    pub api: Option<String>,
    /// Only those of this operation, as in `DELETE /bookmarks/{id}`.
    pub operation: Option<String>,
    /// Only those with this method.
    pub method: Option<String>,
    /// Only those from this address.
    pub address: Option<String>,
    /// Only those with this outcome.
    pub outcome: Option<Outcome>,
    /// Only those at or after this time.
    pub since: Option<Timestamp>,
    /// Only those before this time.
    pub until: Option<Timestamp>,
    /// Which end to begin at, and where.
    pub order: Order,
    /// At most so many.
    pub limit: u32,
}

/// The direction of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Latest first, from the end.
    #[default]
    Latest,
    /// Latest first, only records before this one.
    Before(RecordId),
    /// Earliest first, from the start; for exporting.
    Earliest,
    /// Earliest first, only records after this one; for following and exporting.
    After(RecordId),
    /// Exactly this record.
    Only(RecordId),
}

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

/// Lists records, however long it takes to find them, refusals of the last second included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRecords {
    /// Which ones.
    #[serde(flatten)]
    pub filter: RecordFilter,
}

/// A page of the records that fit a filter, found with a bounded amount of work.
///
/// A page that says that it has not `searched_all` may be short or empty although more records fit
/// further on: go on with `next`, by [`Order::Before`] when the latest come first and by
/// [`Order::After`] otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRecords {
    /// Which ones.
    pub filter: RecordFilter,
}

/// How many records lie between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountRecords {
    /// Those after this one count.
    pub after: RecordId,
    /// Those before this one count.
    pub before: RecordId,
}

/// Writes and refusals of each hour that overlaps a period and had any, earliest first. Exact, and
/// independent of retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListHours {
    /// The first hour holds this time.
    pub since: Timestamp,
    /// The last hour begins before this time.
    pub until: Timestamp,
}

/// The hour that a time lies in and the 23 before it, earliest first, also those that had nothing: what
/// owners see as the last 24 hours, wherever they see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLastDay {
    /// The time.
    pub now: Timestamp,
}

/// What a key did in slots of equal length up to now, and where it was used from. Looks at its latest records
/// only, and says so where there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShowKeyActivity {
    /// Its id, prefix or text.
    pub key: String,
    /// How long each slot is.
    pub slot: Span,
    /// How many slots.
    pub slots: u16,
}

impl Command for ListRecords {
    type Answer = Vec<WriteRecord>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<WriteRecord>> {
        Box::pin(async move {
            engine.write_refused();
            // A store that cannot commit can still be read.
            if let Err(error) = engine.store.flush().await {
                tracing::debug!(%error, "records are listed without what waits to be committed");
            }
            let (owner, query) = engine.record_query(self.filter);
            engine.store.list_records(owner, query).await.map_err(key_failure)
        })
    }
}

impl Command for PageRecords {
    type Answer = RecordPage;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, RecordPage> {
        Box::pin(async move {
            let (owner, query) = engine.record_query(self.filter);
            engine.store.record_page(owner, query).await.map_err(key_failure)
        })
    }
}

impl Command for CountRecords {
    type Answer = u64;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, u64> {
        Box::pin(async move { Ok(engine.store.count_between(self.after, self.before).await?) })
    }
}

impl Command for ListHours {
    type Answer = Vec<HourCount>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<HourCount>> {
        Box::pin(async move { Ok(engine.store.writes_by_hour(self.since, self.until).await?) })
    }
}

impl Command for ListLastDay {
    type Answer = Vec<HourCount>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<HourCount>> {
        Box::pin(async move { engine.last_day(self.now).await })
    }
}

impl Command for ShowKeyActivity {
    type Answer = KeyActivity;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, KeyActivity> {
        Box::pin(async move {
            let Self { key, slot, slots } = self;
            let covered = slot.millis().saturating_mul(i64::from(slots.max(1)));
            let now = engine.store.now();
            let since = Timestamp(now.0.saturating_sub(covered).saturating_add(1));
            let key = engine.key_ref(&key);
            let found = engine.store.key_activity(key, since, (slot, slots), ADDRESSES_SHOWN).await;
            let (records, addresses) = found.map_err(key_failure)?;
            Ok(KeyActivity { records, since, slot, addresses })
        })
    }
}

impl Engine {
    /// The last 24 hours, as [`ListLastDay`] answers them.
    pub(crate) async fn last_day(&self, now: Timestamp) -> Result<Vec<HourCount>, Failure> {
        let hour = HOUR.millis();
        let start = |place: i64| Timestamp((now.0.div_euclid(hour) - 23 + place) * hour);
        let counted = self.store.writes_by_hour(start(0), now.plus(HOUR)).await?;
        let hours = (0..24).map(|place| {
            let start = start(place);
            let found = counted.iter().find(|hour| hour.start == start).copied();
            found.unwrap_or(HourCount { start, writes: 0, refused: 0 })
        });
        Ok(hours.collect())
    }

    /// What the store is asked for a filter.
    pub(crate) fn record_query(&self, filter: RecordFilter) -> (RecordOwner, RecordQuery) {
        let RecordFilter { key, application, order, limit, .. } = filter;
        let owner = RecordOwner { key: key.map(|key| self.key_ref(&key)), application };
        let (id, before, after) = match order {
            Order::Latest | Order::Earliest => (None, None, None),
            Order::Before(id) => (None, Some(id), None),
            Order::After(id) => (None, None, Some(id)),
            Order::Only(id) => (Some(id), None, None),
        };
        // The journal has addresses as they are usually written.
        let usual = |address: String| match address.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().to_string(),
            Err(_) => address,
        };
        let query = RecordQuery {
            id,
            subject: None,
            application: None,
            api: filter.api,
            operation: filter.operation,
            method: filter.method,
            address: filter.address.map(usual),
            outcome: filter.outcome,
            since: filter.since,
            until: filter.until,
            before,
            after,
            direction: match order {
                Order::Latest | Order::Before(_) | Order::Only(_) => Direction::LatestFirst,
                Order::Earliest | Order::After(_) => Direction::EarliestFirst,
            },
            limit: listed_limit(limit),
        };
        (owner, query)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keystile_core::budget::Quota;
    use keystile_core::journal::{Outcome, RequestFacts};
    use keystile_core::keys::text::KeyPrefix;
    use keystile_core::owners::principal::Principal;
    use keystile_core::policy::Policy;
    use keystile_core::refusal::Reason;
    use keystile_store::Store;
    use keystile_store::files::DataDirectory;
    use keystile_store::reservation::RefusedRecord;

    use super::*;
    use crate::EngineSettings;
    use crate::keys::create::CreateKeys;

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

    async fn page_of(engine: &Arc<Engine>, filter: RecordFilter) -> Result<RecordPage, Failure> {
        engine.execute(&Principal::System, PageRecords { filter }).await
    }

    #[tokio::test]
    async fn pages_hours_and_activity_are_of_the_key_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        let command = CreateKeys {
            application: "reader".to_owned(),
            plan: Some("open".to_owned()),
            count: 1,
        };
        let keys = engine.execute(&Principal::System, command).await.unwrap();
        let row = engine.key_row(&keys[0].id).await.unwrap();
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
        let first = page_of(&engine, filter.clone()).await.unwrap();
        assert_eq!(
            (ids(&first), first.next, first.searched_all),
            (vec![3], Some(RecordId(3)), true)
        );
        let rest = RecordFilter { order: Order::Before(RecordId(3)), ..filter };
        let second = page_of(&engine, rest.clone()).await.unwrap();
        assert_eq!((ids(&second), second.next), (vec![2], None));
        let nobody = RecordFilter { application: Some("nobody".to_owned()), ..rest };
        assert!(page_of(&engine, nobody).await.unwrap_err().message.contains("nobody"));
        let now = engine.store().now();
        let hours = ListHours { since: Timestamp(0), until: now.plus(Span::from_secs(1)) };
        let hours = engine.execute(&Principal::System, hours).await.unwrap();
        // One hour, or two where the clock has just struck.
        assert_eq!(hours.iter().map(|hour| hour.refused).sum::<u64>(), 8);
        assert!(hours.iter().all(|hour| hour.writes == 0));
        let slot = Span::from_secs(3_600);
        let show = ShowKeyActivity { key: row.prefix.clone(), slot, slots: 24 };
        let activity = engine.execute(&Principal::System, show).await.unwrap();
        assert_eq!((activity.records.slots.len(), activity.records.slots[23]), (24, 2));
        assert_eq!((activity.addresses.len(), activity.addresses[0].requests), (1, 4));
    }
}

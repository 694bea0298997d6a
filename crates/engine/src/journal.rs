//! What owners read in the journal.

use keystile_core::journal::RecordId;
use keystile_store::journal;
use keystile_store::key::{self, KeyQuery};

use crate::Engine;
use crate::command::{Answer, Failure, Order, RecordFilter};
use crate::execute::LISTED_MAX;

impl Engine {
    pub(crate) async fn list_records(&self, filter: &RecordFilter) -> Result<Answer, Failure> {
        self.write_refused();
        // A store that cannot commit can still be read.
        let _ = self.store.flush().await;
        let key = filter.key.as_deref().map(|key| self.find_key(key)).transpose()?;
        Ok(self.store.read(|read| {
            let mut subjects = key.map(|key| vec![key.row]);
            if let Some(name) = &filter.application {
                let application = key::find_application(read, name)?;
                let query = KeyQuery {
                    application_row: Some(application.row),
                    limit: LISTED_MAX,
                    ..KeyQuery::default()
                };
                let of_application: Vec<i64> =
                    key::list_keys(read, &query)?.iter().map(|key| key.row).collect();
                let asked = subjects.take();
                subjects = Some(match asked {
                    Some(asked) => {
                        asked.into_iter().filter(|row| of_application.contains(row)).collect()
                    }
                    None => of_application,
                });
            }
            let (before, after) = match filter.order {
                Order::Latest | Order::Earliest => (None, None),
                Order::Before(id) => (Some(id), None),
                Order::After(id) => (None, Some(id)),
                Order::Only(id) => {
                    (Some(RecordId(id.0.saturating_add(1))), Some(RecordId(id.0.saturating_sub(1))))
                }
            };
            let query = journal::RecordQuery {
                subjects,
                api: filter.api.clone(),
                operation: filter.operation.clone(),
                method: filter.method.clone(),
                outcome: filter.outcome,
                since: filter.since,
                until: filter.until,
                before,
                after,
                direction: match filter.order {
                    Order::Latest | Order::Before(_) | Order::Only(_) => {
                        journal::Direction::LatestFirst
                    }
                    Order::Earliest | Order::After(_) => journal::Direction::EarliestFirst,
                },
                limit: if filter.limit == 0 { LISTED_MAX } else { filter.limit.min(LISTED_MAX) },
            };
            journal::list(read, &query).map(Answer::Records)
        })?)
    }
}

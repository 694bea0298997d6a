//! The journal: every write, by filters, page by page; one write; and the export.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::owners::principal::Principal;
use keystile_core::time::Timestamp;
use keystile_core::time::when::When;
use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::export::{CSV_HEAD, csv_row};
use keystile_engine::journal::{Order, PageRecords, RecordFilter};
use serde::{Deserialize, Serialize};

use super::{Frame, PageResult, Screen, clock, failure_page, filled, page};
use crate::format::filters;
use crate::format::when::Clock;
use crate::sign_in::session::SignedIn;
use crate::web::Web;

const PAGE: u32 = 50;
/// Records that an export reads at once.
const EXPORT_STEP: u32 = 2_000;

/// What the filter form asks for, as it stands in the address.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct JournalQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
}

impl JournalQuery {
    /// Without the fields that were left empty.
    fn tidied(self) -> Self {
        Self {
            key: filled(self.key),
            application: filled(self.application),
            api: filled(self.api),
            operation: filled(self.operation),
            method: filled(self.method).map(|method| method.to_ascii_uppercase()),
            outcome: filled(self.outcome),
            address: filled(self.address),
            since: filled(self.since),
            until: filled(self.until),
            before: filled(self.before),
            format: filled(self.format),
        }
    }

    fn is_filtered(&self) -> bool {
        let fields = [
            &self.key,
            &self.application,
            &self.api,
            &self.operation,
            &self.method,
            &self.outcome,
            &self.address,
            &self.since,
            &self.until,
        ];
        fields.iter().any(|field| field.is_some())
    }

    fn filter(&self, now: Timestamp) -> Result<RecordFilter, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure {
            kind: FailureKind::Invalid,
            message: error.to_string(),
            help: None,
        };
        let outcome = self.outcome.as_deref().map(str::parse::<Outcome>).transpose();
        let before = self.before.as_deref().map(str::parse::<RecordId>).transpose();
        Ok(RecordFilter {
            key: self.key.clone(),
            application: self.application.clone(),
            api: self.api.clone(),
            operation: self.operation.clone(),
            method: self.method.clone(),
            outcome: outcome.map_err(|error| wrong(&error))?,
            address: self.address.clone(),
            since: self.since.as_deref().map(|text| moment(text, now)).transpose()?,
            until: self.until.as_deref().map(|text| moment(text, now)).transpose()?,
            order: before.map_err(|error| wrong(&error))?.map_or(Order::Latest, Order::Before),
            limit: PAGE,
        })
    }

    fn link(&self, path: &str) -> String {
        match crate::form::encoded(self) {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }
}

/// A time, a day, or a span before now: `2026-11-24T05:30:00Z`, `2026-11-24`, `2 hours`.
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    text.parse::<When>().map(|when| when.resolve(now)).map_err(|error| Failure {
        kind: FailureKind::Invalid,
        message: format!("“{text}” is not a time: {error}"),
        help: None,
    })
}

#[derive(Template)]
#[template(path = "journal.html")]
struct JournalPage {
    frame: Frame,
    clock: Clock,
    query: JournalQuery,
    is_filtered: bool,
    apis: Vec<String>,
    outcomes: [Outcome; 7],
    records: Vec<WriteRecord>,
    searched_all: bool,
    mistake: Option<String>,
    first: Option<String>,
    next: Option<String>,
    reached: Option<Timestamp>,
    csv: String,
    jsonl: String,
}

pub(crate) async fn journal(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Query(query): Query<JournalQuery>,
) -> PageResult {
    let frame = Frame::of(&web, &owner, Screen::Journal, "Journal");
    let clock = clock(&web);
    let query = query.tidied();
    let mut shown = JournalPage {
        frame,
        is_filtered: query.is_filtered(),
        apis: web.engine.policy().apis().iter().map(|api| api.name().to_owned()).collect(),
        outcomes: Outcome::ALL,
        records: Vec::new(),
        searched_all: true,
        mistake: None,
        first: query
            .before
            .is_some()
            .then(|| JournalQuery { before: None, ..query.clone() }.link("/journal")),
        next: None,
        reached: None,
        csv: export_link(&query, "csv"),
        jsonl: export_link(&query, "jsonl"),
        query,
        clock,
    };
    let found = match shown.query.filter(shown.clock.now) {
        Ok(filter) => web.engine.execute(&owner.principal(), PageRecords { filter }).await,
        Err(failure) => Err(failure),
    };
    match found {
        Ok(found) => {
            shown.next = found.next.map(|next| {
                JournalQuery { before: Some(next.to_string()), ..shown.query.clone() }
                    .link("/journal")
            });
            shown.searched_all = found.searched_all;
            shown.reached = found.searched_to.filter(|_| !found.searched_all);
            shown.records = found.records;
        }
        Err(failure) => shown.mistake = Some(failure.message),
    }
    Ok(page(&shown))
}

fn export_link(query: &JournalQuery, format: &str) -> String {
    JournalQuery { before: None, format: Some(format.to_owned()), ..query.clone() }
        .link("/journal/export")
}

#[derive(Template)]
#[template(path = "record.html")]
struct RecordPage {
    frame: Frame,
    clock: Clock,
    record: WriteRecord,
    sentence: &'static str,
}

pub(crate) async fn record(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
) -> PageResult {
    let record =
        find_record(&web, &owner.principal(), &id).await.map_err(failure_page(&web, &owner))?;
    let frame = Frame::of(&web, &owner, Screen::Journal, &record.id.to_string());
    let sentence = match record.outcome {
        Outcome::Pending => "Its intent is on record; it may be under way just now.",
        Outcome::Applied => "Your API carried it out.",
        Outcome::RefusedByUpstream => "Your API refused it.",
        Outcome::NotSent => {
            "It was proven not to reach your API, and was given back to the key’s budgets."
        }
        Outcome::Unknown => {
            "It may have reached your API; nobody knows what became of it. It stays counted. Look at your API whether it took effect."
        }
        Outcome::Refused => "Keystile refused it; your API saw nothing of it.",
        Outcome::HandedOver => {
            "Another gateway was told that it may send it, and did not say what became of it. It stays counted."
        }
    };
    Ok(page(&RecordPage { frame, clock: clock(&web), record, sentence }))
}

pub(crate) async fn find_record(
    web: &Web,
    principal: &Principal,
    id: &str,
) -> Result<WriteRecord, Failure> {
    let missing = || Failure {
        kind: FailureKind::Missing,
        message: "There is no such record.".to_owned(),
        help: Some("It may be older than the journal’s retention.".to_owned()),
    };
    let id: RecordId = id.parse().map_err(|_| missing())?;
    let filter = RecordFilter { order: Order::Only(id), limit: 1, ..RecordFilter::default() };
    let found = web.engine.execute(principal, PageRecords { filter }).await?;
    found.records.into_iter().next().ok_or_else(missing)
}

/// Streams the records that the filters show, earliest first, however many there are.
pub(crate) async fn export(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Query(query): Query<JournalQuery>,
) -> PageResult {
    let query = query.tidied();
    let filter = query.filter(web.engine.store().now()).map_err(failure_page(&web, &owner))?;
    let is_csv = query.format.as_deref() != Some("jsonl");
    Ok(stream_of(&web.engine, owner.principal(), filter, is_csv))
}

pub(crate) fn stream_of(
    engine: &Arc<Engine>,
    principal: Principal,
    filter: RecordFilter,
    is_csv: bool,
) -> Response {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(2);
    let engine = engine.clone();
    tokio::spawn(async move {
        let mut filter = RecordFilter { order: Order::Earliest, limit: EXPORT_STEP, ..filter };
        let mut text = if is_csv { row(CSV_HEAD) } else { Vec::new() };
        loop {
            let command = PageRecords { filter: filter.clone() };
            let found = match engine.execute(&principal, command).await {
                Ok(found) => found,
                Err(failure) => {
                    // The caller must not take half a file for a whole one.
                    let _ = sender.send(Err(std::io::Error::other(failure.message))).await;
                    return;
                }
            };
            for record in &found.records {
                if is_csv {
                    text.extend(row(csv_row(record)));
                } else if serde_json::to_writer(&mut text, record).is_ok() {
                    text.push(b'\n');
                }
            }
            if sender.send(Ok(Bytes::from(std::mem::take(&mut text)))).await.is_err() {
                return;
            }
            match found.next {
                Some(next) => filter.order = Order::After(next),
                None => return,
            }
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let (kind, name) = if is_csv {
        ("text/csv; charset=utf-8", "journal.csv")
    } else {
        ("application/x-ndjson", "journal.jsonl")
    };
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, Body::from_stream(stream)).into_response()
}

fn row<T: AsRef<[u8]>>(cells: [T; 19]) -> Vec<u8> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    // Neither can fail in memory.
    let _ = csv.write_record(cells);
    csv.into_inner().unwrap_or_default()
}

//! Records of the journal: pages, one, and all of them as a file.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::time::Timestamp;
use keystile_engine::journal::{Order, PageRecords, RecordFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Caller, Read};
use super::input::{ApiQuery, Named, moment, page_of};
use super::problem::{Kind, Problem};
use crate::page::journal::{find_record, stream_of};
use crate::web::Web;

/// A query with the filters and with what else one operation takes. Not one struct within another, which
/// serde does not read from a query together with refusing what is not known.
macro_rules! record_query {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Debug, Deserialize, IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub(super) struct $name {
            /// Only those of this key: its id or prefix.
            key: Option<String>,
            /// Only those of this application: its name or id.
            application: Option<String>,
            /// Only those of this API.
            api: Option<String>,
            /// Only those of this operation, as in `DELETE /bookmarks/{id}`.
            operation: Option<String>,
            /// Only those with this method.
            method: Option<String>,
            /// Only those from this address.
            address: Option<String>,
            /// Only those with this outcome.
            #[param(inline)]
            outcome: Option<Outcome>,
            /// Only those at or after this: a time, a day of UTC as in `2026-11-24`, or as in `2 hours` so
            /// long ago.
            since: Option<String>,
            /// Only those before this, written alike.
            until: Option<String>,
            $($(#[$attribute])* $field: $type,)*
        }

        impl $name {
            fn filter(&self, now: Timestamp) -> Result<RecordFilter, Problem> {
                Ok(RecordFilter {
                    key: self.key.clone(),
                    application: self.application.clone(),
                    api: self.api.clone(),
                    operation: self.operation.clone(),
                    method: self.method.as_ref().map(|method| method.to_ascii_uppercase()),
                    address: self.address.clone(),
                    outcome: self.outcome,
                    since: moment(self.since.as_deref(), now)?,
                    until: moment(self.until.as_deref(), now)?,
                    ..RecordFilter::default()
                })
            }
        }
    };
}

record_query!(RecordQuery {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many to show at most, up to 1000; 50 where it is not said.
    limit: Option<u32>,
});

/// Some records.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordsListed {
    /// The records of this page.
    items: Vec<WriteRecord>,
    /// What to send as `cursor` for the next page; null where nothing more fits.
    #[schema(required)]
    next: Option<String>,
    /// Whether the page has all that fits up to `next`. False where the search was given up after a
    /// bounded amount of work: the page may be short, or empty, although more fits further on.
    searched_all: bool,
    /// The time that a search which was given up had come to.
    #[schema(required)]
    searched_to: Option<Timestamp>,
}

/// Records, latest first
#[utoipa::path(
    get, path = "/records", tag = "records", operation_id = "list_records", params(RecordQuery),
    responses((status = OK, body = RecordsListed), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    ApiQuery(query): ApiQuery<RecordQuery>,
) -> Result<Json<RecordsListed>, Problem> {
    let cursor = query.cursor.as_deref().map(str::parse::<RecordId>).transpose();
    let cursor = cursor.map_err(|error| Problem::new(Kind::NotUnderstood, error.to_string()))?;
    let filter = RecordFilter {
        order: cursor.map_or(Order::Latest, Order::Before),
        limit: page_of(query.limit)?,
        ..query.filter(web.engine.store().now())?
    };
    let found = caller.execute(&web, PageRecords { filter }).await?;
    Ok(Json(RecordsListed {
        items: found.records,
        next: found.next.map(|next| next.to_string()),
        searched_all: found.searched_all,
        searched_to: found.searched_to.filter(|_| !found.searched_all),
    }))
}

/// What an export is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// A table for spreadsheets.
    #[default]
    Csv,
    /// A record of JSON on each line.
    Jsonl,
}

record_query!(ExportQuery {
    /// What to write; `csv` where it is not said.
    #[param(inline)]
    format: Option<Format>,
});

/// All records that fit, earliest first, as a file
///
/// The answer breaks off where the store fails: half a file is never taken for a whole one.
#[utoipa::path(
    get, path = "/records/export", tag = "records", operation_id = "export_records",
    params(ExportQuery),
    responses(
        (status = OK, content((String = "text/csv"), (String = "application/x-ndjson"))),
        Problem,
    ),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn export(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    ApiQuery(query): ApiQuery<ExportQuery>,
) -> Result<Response, Problem> {
    let filter = query.filter(web.engine.store().now())?;
    // A name that does not exist is a problem, not a file that breaks off.
    let first = RecordFilter { limit: 1, ..filter.clone() };
    caller.execute(&web, PageRecords { filter: first }).await?;
    let is_csv = query.format.unwrap_or_default() == Format::Csv;
    Ok(stream_of(&web.engine, caller.principal, filter, is_csv))
}

/// One record
#[utoipa::path(
    get, path = "/records/{record}", tag = "records", operation_id = "show_record",
    params(("record" = String, Path, description = "Its id, as in `write_41`.")),
    responses((status = OK, body = WriteRecord), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn show(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    Named(id): Named,
) -> Result<Json<WriteRecord>, Problem> {
    Ok(Json(find_record(&web, &caller.principal, &id).await?))
}

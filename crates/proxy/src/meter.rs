//! What the gate counts for the metrics page.

use metrics::{Counter, counter};

/// The counters of one API, looked up once.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub(crate) reads: Counter,
    pub(crate) writes: Counter,
}

impl Meter {
    pub(crate) fn of(api: &str) -> Self {
        let forwarded = |kind: &'static str| counter!("keystile_requests_total", "api" => api.to_owned(), "kind" => kind);
        Self { reads: forwarded("read"), writes: forwarded("write") }
    }
}

/// Describes the metrics for those who read them.
pub fn describe() {
    metrics::describe_counter!(
        "keystile_requests_total",
        "Requests that were forwarded, by API and kind."
    );
    metrics::describe_counter!(
        "keystile_refusals_total",
        "Requests that Keystile answered itself, by API and reason."
    );
    metrics::describe_counter!(
        "keystile_key_look_ups_total",
        "Look-ups of unknown keys in a key source, by source and result."
    );
    metrics::describe_gauge!("keystile_connections", "Connections of callers that are open.");
}

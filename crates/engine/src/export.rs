//! Records as rows of a table that a spreadsheet opens.

use keystile_core::journal::WriteRecord;
use keystile_core::text::printable;

/// The columns, which are the fields of a record.
pub const CSV_HEAD: [&str; 19] = [
    "id",
    "time",
    "key",
    "application",
    "plan",
    "api",
    "operation",
    "method",
    "path",
    "address",
    "user_agent",
    "request_bytes",
    "response_bytes",
    "status",
    "duration_ms",
    "outcome",
    "reason",
    "cost",
    "count",
];

/// A record as the cells of a row.
pub fn csv_row(record: &WriteRecord) -> [String; 19] {
    let text = |text: &Option<String>| csv_cell(text.as_deref().unwrap_or_default());
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    [
        record.id.to_string(),
        record.time.to_string(),
        text(&record.key),
        text(&record.application),
        text(&record.plan),
        csv_cell(&record.api),
        csv_cell(&record.operation),
        csv_cell(&record.method),
        csv_cell(&record.path),
        csv_cell(&record.address),
        text(&record.user_agent),
        number(record.request_bytes),
        number(record.response_bytes),
        number(record.status.map(u64::from)),
        number(record.duration_ms),
        record.outcome.to_string(),
        record.reason.map(|reason| reason.to_string()).unwrap_or_default(),
        record.cost.to_string(),
        record.count.to_string(),
    ]
}

/// A spreadsheet runs a cell that begins like a formula; a stranger chose what stands in it. Spaces in
/// front are no protection, since some spreadsheets drop them.
fn csv_cell(text: &str) -> String {
    let shown = printable(text);
    if shown.trim_start().starts_with(['=', '+', '-', '@']) {
        format!("'{shown}")
    } else {
        shown.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_finds_no_formula() {
        for (text, cell) in [
            ("=HYPERLINK(\"//evil\")", "'=HYPERLINK(\"//evil\")"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("  =1", "'  =1"),
            ("\t=1", "\\u{9}=1"),
            ("/a=b", "/a=b"),
            ("", ""),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}

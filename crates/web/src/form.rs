//! Forms as they stand in an address.

use serde::Serialize;

/// A form's fields as a query, without the `?`.
pub(crate) fn encoded(form: &impl Serialize) -> String {
    // Forms are structs of texts, which always encode.
    serde_urlencoded::to_string(form).unwrap_or_default()
}

/// A text as one segment of a path.
pub(crate) fn path_segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

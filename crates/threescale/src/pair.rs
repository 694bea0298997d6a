//! Credentials of two parts, `app_id` and `app_key`, as one key.

/// The text of a pair as a key of the gate: what Basic authorization carries too.
pub(crate) fn text(app_id: &str, app_key: &str) -> String {
    format!("{app_id}:{app_key}")
}

//! Credentials of two parts, `app_id` and `app_key`, as one key.

/// The text of a pair as a key of the gate: what Basic authorization carries too.
pub(crate) fn text(app_id: &str, app_key: &str) -> String {
    format!("{app_id}:{app_key}")
}

/// The same where it is the text of no other pair: of an `app_id` that is there and holds no colon.
pub(crate) fn unmistakable_text(app_id: &str, app_key: &str) -> Option<String> {
    let is_one = !app_id.is_empty() && !app_key.is_empty() && !app_id.contains(':');
    is_one.then(|| text(app_id, app_key))
}

/// The two parts of such a text.
pub(crate) fn parts(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(app_id, app_key)| !app_id.is_empty() && !app_key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_reads_back_and_no_two_pairs_have_one_text() {
        let text = unmistakable_text("a", "b:c").unwrap();
        assert_eq!((text.as_str(), parts(&text)), ("a:b:c", Some(("a", "b:c"))));
        for (app_id, app_key) in [("a:b", "c"), ("", "k"), ("a", ""), ("", "")] {
            assert_eq!(unmistakable_text(app_id, app_key), None);
        }
        assert_eq!(["a:", ":k", "ak", ""].map(parts), [None; 4]);
    }
}

//! Whether a referrer fits a filter, in which `*` stands for anything.

/// A referrer that passes every filter.
const BYPASS: &str = "*";

/// Whether a filter allows a referrer. Both are compared whole; `*` in a filter stands for any text in one
/// line.
pub(super) fn allows(filter: &str, referrer: &str) -> bool {
    referrer == BYPASS || fits(filter.as_bytes(), referrer.as_bytes())
}

/// Takes each piece between stars where it comes first, which leaves the most for those behind it. So the time
/// is at most the product of both lengths, and no filter can make it more.
fn fits(filter: &[u8], text: &[u8]) -> bool {
    let (mut in_filter, mut in_text) = (0_usize, 0_usize);
    // Where the last star ends, and where what it stands for ends so far.
    let mut star = None;
    while in_text < text.len() {
        match filter.get(in_filter) {
            Some(b'*') => {
                in_filter = in_filter.saturating_add(1);
                star = Some((in_filter, in_text));
            }
            Some(byte) if *byte == text[in_text] => {
                in_filter = in_filter.saturating_add(1);
                in_text = in_text.saturating_add(1);
            }
            _ => {
                let Some((behind, end)) = star else { return false };
                if text[end] == b'\n' {
                    return false;
                }
                in_filter = behind;
                in_text = end.saturating_add(1);
                star = Some((behind, in_text));
            }
        }
    }
    filter[in_filter..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (filter, referrer) in [
            ("example.com", "example.com"),
            ("*.example.com", "a.b.example.com"),
            ("*", ""),
            ("*", "anything"),
            ("a*b*c", "a-b-b-c"),
            ("a**c", "ac"),
            ("example.com", "*"),
        ] {
            assert!(allows(filter, referrer), "{filter} {referrer}");
        }
        for (filter, referrer) in [
            ("example.com", "example.com.evil"),
            ("example.com", "exampleXcom"),
            ("*.example.com", "example.com"),
            ("a*b", "a-b-"),
            ("a*b", "a\nb"),
            ("", "a"),
            ("[a-z]", "a"),
        ] {
            assert!(!allows(filter, referrer), "{filter} {referrer}");
        }
    }

    /// The definition, as slow as it reads.
    fn is_match(filter: &[u8], text: &[u8]) -> bool {
        match (filter.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) if is_match(rest, text) => true,
            (Some((b'*', _)), Some((byte, rest))) => *byte != b'\n' && is_match(filter, rest),
            (Some((wanted, filter)), Some((byte, text))) => {
                wanted == byte && is_match(filter, text)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn filters_fit_as_their_definition_says(
            filter in "[ab*\n]{0,8}", text in "[ab\n]{0,10}",
        ) {
            prop_assert_eq!(
                allows(&filter, &text), is_match(filter.as_bytes(), text.as_bytes())
            );
        }
    }
}

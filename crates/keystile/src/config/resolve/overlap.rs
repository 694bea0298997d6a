//! Whether two patterns can meet the same request.

use keystile_core::policy::operation::OperationPattern;

/// Whether some request meets both.
pub(super) fn overlap(one: &OperationPattern, other: &OperationPattern) -> bool {
    let (one, other) = (one.to_string(), other.to_string());
    let ((methods, path), (other_methods, other_path)) = (parts(&one), parts(&other));
    let is_shared = |method: &str| other_methods.split(',').any(|other| other == method);
    let methods_meet = methods == "*" || other_methods == "*" || methods.split(',').any(is_shared);
    methods_meet && paths_meet(&segments(path), &segments(other_path))
}

fn parts(pattern: &str) -> (&str, &str) {
    pattern.split_once(' ').unwrap_or(("*", "*"))
}

fn segments(path: &str) -> Vec<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path).split('/').map(str::to_ascii_lowercase).collect()
}

fn paths_meet(one: &[String], other: &[String]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([rest], _) | (_, [rest]) if rest == "*" => true,
        ([a, one @ ..], [b, other @ ..]) => segments_meet(a, b) && paths_meet(one, other),
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}

fn segments_meet(one: &str, other: &str) -> bool {
    match (around_name(one), around_name(other)) {
        (None, None) => one == other,
        (Some(around), None) => has(other, around),
        (None, Some(around)) => has(one, around),
        (Some((before, after)), Some((other_before, other_after))) => {
            (before.starts_with(other_before) || other_before.starts_with(before))
                && (after.ends_with(other_after) || other_after.ends_with(after))
        }
    }
}

/// What stands before and after the `{name}` of a segment.
fn around_name(segment: &str) -> Option<(&str, &str)> {
    let (before, rest) = segment.split_once('{')?;
    Some((before, rest.split_once('}')?.1))
}

fn has(segment: &str, (before, after): (&str, &str)) -> bool {
    segment.len() > before.len() + after.len()
        && segment.starts_with(before)
        && segment.ends_with(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_meet_where_one_request_fits_both() {
        for (one, other, meets) in [
            ("*", "POST /a", true),
            ("POST /a/*", "* /a/{id}/b", true),
            ("POST /a", "GET /a", false),
            ("POST,PUT /A/", "PUT /a", true),
            ("POST /a/{x}", "POST /{y}/b", true),
            ("POST /a/b", "POST /a", false),
            ("POST /a/b", "POST /a/c", false),
            ("POST /a:{x}", "POST /a:b", true),
            ("POST /a:{x}", "POST /a/b", false),
            ("POST /a:{x}", "POST /{x}:b", true),
            ("POST /{x}:a", "POST /{x}:b", false),
        ] {
            let [one, other]: [OperationPattern; 2] =
                [one, other].map(|text| text.parse().unwrap());
            assert_eq!(overlap(&one, &other), meets, "{one} {other}");
            assert_eq!(overlap(&other, &one), meets, "{other} {one}");
        }
    }
}

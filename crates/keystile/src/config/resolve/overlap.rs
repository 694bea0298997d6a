//! Whether two patterns can meet the same request.

use keystile_core::operation::OperationPattern;

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
        ([a, one @ ..], [b, other @ ..]) => {
            (a == b || a.starts_with('{') || b.starts_with('{')) && paths_meet(one, other)
        }
        ([], [_, ..]) | ([_, ..], []) => false,
    }
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
        ] {
            let [one, other]: [OperationPattern; 2] =
                [one, other].map(|text| text.parse().unwrap());
            assert_eq!(overlap(&one, &other), meets, "{one} {other}");
            assert_eq!(overlap(&other, &one), meets, "{other} {one}");
        }
    }
}

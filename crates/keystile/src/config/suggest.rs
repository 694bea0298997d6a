//! The word that was probably meant.

/// Longer words are compared by their beginning; nobody mistypes a name of this length by accident.
const CHARS_MAX: usize = 64;

/// The candidate that a word is closest to, where one is close enough to be meant.
///
/// Case, `_` and `-` do not count: `writebudget` is `write_budget`.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = folded(word);
    let bound = match word.chars().count() {
        0 => return None,
        1..=3 => 1,
        // Another word is seldom closer, and one that means the opposite would be worse than none.
        length => length.div_ceil(4),
    };
    candidates
        .into_iter()
        .filter(|candidate| !is_opposite(&word, &folded(candidate)))
        .map(|candidate| (strsim::damerau_levenshtein(&word, &folded(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= bound && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether one of two words is the other with a syllable that turns it around, as `ever` and `never` are.
fn is_opposite(word: &str, other: &str) -> bool {
    let turns = |longer: &str, shorter: &str| {
        let before = longer.strip_suffix(shorter).unwrap_or_default();
        ["n", "un", "in", "dis", "non", "not", "no"].contains(&before)
    };
    turns(word, other) || turns(other, word)
}

fn folded(word: &str) -> String {
    let letters = word.chars().filter(|c| !matches!(c, '_' | '-'));
    letters.take(CHARS_MAX).flat_map(char::to_lowercase).collect()
}

/// As in `a`, `a or b`, `a, b or c`.
pub(crate) fn either<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut words: Vec<&str> = words.into_iter().collect();
    let last = words.pop().unwrap_or_default();
    if words.is_empty() { last.to_owned() } else { format!("{} or {last}", words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let keys = ["write_budget", "rate_limit", "allow", "lock"];
        for (word, meant) in [
            ("writebudget", Some("write_budget")),
            ("WriteBudget", Some("write_budget")),
            ("write_bugdet", Some("write_budget")),
            ("alow", Some("allow")),
            ("locks", Some("lock")),
            ("x", None),
            ("", None),
            ("colour", None),
        ] {
            assert_eq!(closest(word, keys), meant, "{word}");
        }
        for (word, candidates) in [
            ("forever", ["never", "writes", "all"]),
            ("ever", ["forever", "unlocked", "all"]),
            ("unlocked", ["locked", "writes", "all"]),
            ("disallow", ["allow", "lock", "on"]),
            ("notify", ["verify", "none", "on"]),
        ] {
            assert_eq!(closest(word, candidates), None, "{word}");
        }
    }

    #[test]
    fn words_are_listed_as_people_list_them() {
        assert_eq!(either(["a"]), "a");
        assert_eq!(either(["a", "b", "c"]), "a, b or c");
    }
}

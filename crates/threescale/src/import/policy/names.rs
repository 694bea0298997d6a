//! Names of APIs and plans.

use std::collections::BTreeSet;

/// The longest name in a configuration.
const NAME_CHARS_MAX: usize = 64;
/// Names that are taken.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name that a configuration can have and that nothing has yet.
    pub(super) fn new_name(&mut self, text: &str, number: u64) -> String {
        let is_kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let kept: String = text.chars().map(|c| if is_kept(c) { c } else { '-' }).collect();
        let kept = kept.trim_matches(['-', '_', '.']).to_ascii_lowercase();
        let kept: String = kept.chars().take(NAME_CHARS_MAX - 21).collect();
        let name = if kept.is_empty() { number.to_string() } else { kept };
        let name = if self.0.contains(&name) { format!("{name}-{number}") } else { name };
        self.0.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_kept_and_are_told_apart() {
        let mut names = Names::default();
        let long = "x".repeat(200);
        let made =
            ["My API!", "my-api", "", "…", long.as_str()].map(|text| names.new_name(text, 7));
        assert_eq!(made[..4], ["my-api", "my-api-7", "7", "7-7"]);
        assert!(made[4].len() <= NAME_CHARS_MAX);
    }
}

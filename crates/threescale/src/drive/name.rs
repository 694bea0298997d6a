//! What an application that is brought over is called here.

use keystile_core::label::NAME_CHARS_MAX;

use crate::name::kept;
use crate::portal::records::Application;

/// What a name can be longer by where another application has it: blanks, brackets and the number.
const NUMBER_CHARS: usize = 31;

/// The account's and the application's name, and the same with the number there, which no other has.
pub(super) fn names(application: &Application) -> [String; 2] {
    let number = format!("3scale {}", application.id);
    let known = [&application.org_name, &application.name];
    let known: Vec<&str> = known.into_iter().flatten().map(|name| name.trim()).collect();
    let name = if known.is_empty() { number.clone() } else { known.join(" – ") };
    match kept(&name, NAME_CHARS_MAX - NUMBER_CHARS) {
        Some(name) => [name.clone(), format!("{name} ({number})")],
        None => [number.clone(), number],
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::label::Label;
    use serde_json::json;

    use super::*;

    fn names_of(org: &str, name: &str) -> [String; 2] {
        let id = u64::MAX;
        let application = json!({
            "id": id, "state": "live", "service_id": 1, "plan_id": 1, "account_id": 1,
            "org_name": org, "name": name,
        });
        names(&serde_json::from_value(application).unwrap())
    }

    #[test]
    fn a_name_says_whose_it_is_and_can_be_kept_whatever_stands_there() {
        let [name, numbered] = names_of("Acme  Ltd\n", "Importer");
        assert_eq!(name, "Acme Ltd – Importer");
        assert_eq!(numbered, "Acme Ltd – Importer (3scale 18446744073709551615)");
        let long = "é".repeat(300);
        for (org, name) in [
            ("", ""),
            (long.as_str(), long.as_str()),
            ("app_1", ""),
            ("\u{301}", ""),
            ("a\u{202e}b", "\u{200b}"),
            ("\u{7}", "<script>"),
        ] {
            for name in names_of(org, name) {
                assert_eq!(Label::Name.check(&name), Ok(()), "{name}");
                assert!(!name.starts_with("app_"));
            }
        }
    }
}

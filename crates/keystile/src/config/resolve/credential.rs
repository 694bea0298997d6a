//! Where the requests of an API carry their key.

use http::HeaderName;
use keystile_core::request::credential::{CredentialRule, PairRule};

use super::Resolver;
use crate::config::raw::{self, KeyPair, PairPlace};
use crate::config::value::Spanned;

/// Fields that the gate reads, sets or takes out for another purpose.
const FIELDS_IN_USE: [&str; 8] = [
    "host",
    "content-length",
    "content-type",
    "idempotency-key",
    "te",
    "trailer",
    "expect",
    "cookie",
];

impl Resolver<'_> {
    pub(super) fn credential(&mut self, api: &raw::Api) -> CredentialRule {
        let mut rule = CredentialRule::default();
        if let Some(setting) = &api.key_header
            && let Some(header) = self.key_field(setting)
        {
            rule = rule.in_header(header, &setting.value);
        }
        if let Some(setting) = &api.key_query_parameter {
            self.check_parameter(setting, "api_key");
            rule.query_parameter = Some(setting.value.as_str().into());
        }
        if let Some(pair) = &api.key_pair {
            rule.pair = self.key_pair(pair, &rule);
        }
        rule
    }

    /// The places of a key in two parts; none where they have a mistake.
    fn key_pair(&mut self, pair: &Spanned<KeyPair>, rule: &CredentialRule) -> Option<PairRule> {
        let KeyPair { id, secret, place } = &pair.value;
        for (key, setting, example) in [("id", id, "app_id"), ("secret", secret, "app_key")] {
            if setting.is_none() {
                self.error(&pair.place, format!("`key_pair` has no `{key}`"))
                    .help(format!("write it as in {key} = {example:?}"));
            }
        }
        let (id, secret) = (id.as_ref()?, secret.as_ref()?);
        let is_twice = |one: &str, two: &str| one.eq_ignore_ascii_case(two);
        let taken = match place.as_ref().map(|place| place.value) {
            Some(PairPlace::Header) => Some(&*rule.header_text),
            Some(PairPlace::Query) | None => rule.query_parameter.as_deref(),
        };
        let of_key = |name: &str| taken.is_some_and(|taken| is_twice(taken, name));
        if is_twice(&id.value, &secret.value) || of_key(&id.value) || of_key(&secret.value) {
            self.error(
                &pair.place,
                "two parts of a key cannot have one name, nor that of a whole key",
            )
            .help("give each place that a key is read from a name of its own");
            return None;
        }
        match place.as_ref().map(|place| place.value) {
            Some(PairPlace::Header) => {
                let (id, secret) = (self.key_field(id), self.key_field(secret));
                Some(PairRule::Headers { id: id?, secret: secret? })
            }
            Some(PairPlace::Query) | None => {
                self.check_parameter(id, "app_id");
                self.check_parameter(secret, "app_key");
                let [id, secret] = [id, secret].map(|setting| setting.value.as_str().into());
                Some(PairRule::Query { id, secret })
            }
        }
    }

    /// A field that may hold a key, or a part of one.
    fn key_field(&mut self, setting: &Spanned<String>) -> Option<HeaderName> {
        let name = setting.value.to_ascii_lowercase();
        let is_in_use = FIELDS_IN_USE.contains(&name.as_str())
            || keystile_core::request::grammar::is_untrusted(&name);
        match name.parse::<HeaderName>() {
            Ok(_) if name.contains('_') => {
                let message =
                    "a header field with `_` never passes: servers read it in different ways";
                self.error(&setting.place, message)
                    .help(format!("did you mean {:?}?", setting.value.replace('_', "-")));
                None
            }
            Ok(_) if is_in_use => {
                let message = format!(
                    "the field {:?} has another purpose and cannot carry the key",
                    setting.value
                );
                self.error(&setting.place, message)
                    .help("write another field, as in \"X-API-Key\"");
                None
            }
            Ok(header) => Some(header),
            Err(_) => {
                let message = format!("{:?} is not the name of a header field", setting.value);
                self.error(&setting.place, message).help("write a name, as in \"X-API-Key\"");
                None
            }
        }
    }

    fn check_parameter(&mut self, setting: &Spanned<String>, example: &str) {
        let is_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~');
        if setting.value.is_empty() || !setting.value.chars().all(is_char) {
            let message = format!("{:?} is not the name of a query parameter", setting.value);
            self.error(&setting.place, message)
                .help(format!("write letters, digits, `_`, `-`, `.` or `~`, as in {example:?}"));
        }
    }
}

//! Rules that name operations: an API, methods, a path template.

use std::ops::Range;

use keystile_core::policy::operation::{InvalidPattern, OperationPattern, ScopedPattern};
use keystile_core::policy::template::InvalidTemplate;

use super::Resolver;
use crate::config::suggest::{closest, either};
use crate::config::value::{OneOrMany, Spanned};

impl Resolver<'_> {
    pub(super) fn scoped_patterns(
        &mut self,
        setting: Option<&OneOrMany<String>>,
    ) -> Vec<ScopedPattern> {
        let mut patterns = Vec::new();
        for text in setting.iter().flat_map(|setting| &setting.values) {
            let Some(pattern) = self.scoped_pattern(text) else {
                continue;
            };
            if patterns.contains(&pattern) {
                self.warning(&text.place, format!("{:?} is listed twice", text.value))
                    .help("keep one of the two");
            } else {
                patterns.push(pattern);
            }
        }
        patterns
    }

    /// A rule such as `bookmarks: DELETE *`, of an API that exists.
    fn scoped_pattern(&mut self, text: &Spanned<String>) -> Option<ScopedPattern> {
        let colon = text.value.find(':').filter(|colon| !text.value[..*colon].contains('/'));
        let Some(colon) = colon else {
            let help = self.with_api(text.value.trim());
            self.error(&text.place, format!("{}", InvalidPattern::NoApi)).help_if(help);
            return None;
        };
        let api = text.value[..colon].trim();
        let pattern = self.pattern(
            text,
            colon + 1,
            self.names.get(api).cloned().unwrap_or_default().as_str(),
        );
        if api != "*" && !self.names.contains_key(api) && !self.is_lost(&["api", api]) {
            let place = self.word_in(text, api);
            let known: Vec<_> = self.names.keys().map(String::as_str).collect();
            let help = match closest(api, known.iter().copied()) {
                Some(meant) => Some(format!("did you mean `{meant}`?")),
                None if known.is_empty() => None,
                None => Some(format!("write {}, or `*` for every API", either(known))),
            };
            self.error(&place, format!("no API is named {api:?}")).help_if(help);
            return None;
        }
        Some(ScopedPattern { api: api.to_owned(), pattern: pattern? })
    }

    /// What a rule without an API was meant to be.
    fn with_api(&self, text: &str) -> Option<String> {
        if self.names.contains_key(text) || text == "*" {
            return Some(format!("did you mean \"{text}: *\"?"));
        }
        let mut names = self.names.keys();
        let (name, None) = (names.next()?, names.next()) else {
            return None;
        };
        text.parse::<OperationPattern>().ok().map(|_| format!("did you mean \"{name}: {text}\"?"))
    }

    /// A pattern that stands in a string from an offset on, in an API with a path prefix.
    pub(super) fn pattern(
        &mut self,
        text: &Spanned<String>,
        offset: usize,
        prefix: &str,
    ) -> Option<OperationPattern> {
        let written = &text.value[offset..];
        let pattern = match written.parse::<OperationPattern>() {
            Ok(pattern) => pattern,
            Err(error) => {
                self.explain_pattern(text, offset, &error);
                return None;
            }
        };
        let words: Vec<_> = written.split_whitespace().collect();
        if let [methods, _] = words.as_slice()
            && *methods != "*"
        {
            self.check_methods(text, offset, methods);
        }
        if let Some(path) = words.last().filter(|path| path.starts_with('/')) {
            self.check_path(text, path, prefix);
        }
        Some(pattern)
    }

    fn explain_pattern(&mut self, text: &Spanned<String>, offset: usize, error: &InvalidPattern) {
        let written = text.value[offset..].trim();
        let start = offset + text.value[offset..].find(written).unwrap_or(0);
        let whole = start..start + written.len();
        let part =
            |part: &str| find_from(&text.value, part, offset).unwrap_or_else(|| whole.clone());
        let known = self.methods.iter().map(http::Method::as_str);
        let (range, help) = match error {
            InvalidPattern::Method(name) => {
                (part(name), closest(name, known).map(|meant| format!("did you mean `{meant}`?")))
            }
            InvalidPattern::Template(InvalidTemplate::NoSlash) => {
                let path = written.split_whitespace().last().unwrap_or_default();
                (part(path), Some(format!("did you mean \"/{path}\"?")))
            }
            InvalidPattern::Template(
                InvalidTemplate::ImpossibleSegment(segment)
                | InvalidTemplate::Star(segment)
                | InvalidTemplate::Rest(segment)
                | InvalidTemplate::Form { segment, .. }
                | InvalidTemplate::Braces(segment),
            ) if !segment.is_empty() => (part(segment), None),
            InvalidPattern::Template(_) => {
                (part(written.split_whitespace().last().unwrap_or_default()), None)
            }
            InvalidPattern::Form | InvalidPattern::NoApi => {
                (whole.clone(), guessed_pattern(written))
            }
        };
        let place = if range.is_empty() { text.place.clone() } else { self.within(text, range) };
        self.error(&place, format!("{error}")).help_if(help);
    }

    /// A rule on a method that never passes the gate would look as if it held.
    fn check_methods(&mut self, text: &Spanned<String>, offset: usize, methods: &str) {
        if self.is_lost(&["gate", "methods"]) {
            return;
        }
        let unknown = methods
            .split(',')
            .find(|name| !self.methods.iter().any(|method| method.as_str() == *name));
        let Some(name) = unknown else { return };
        let help = match closest(name, self.methods.iter().map(http::Method::as_str)) {
            Some(meant) => format!(
                "did you mean `{meant}`? Further methods pass where [gate] lists them in `methods`"
            ),
            None => "further methods pass where [gate] lists them in `methods`".to_owned(),
        };
        let place = find_from(&text.value, name, offset)
            .map_or_else(|| text.place.clone(), |range| self.within(text, range));
        self.error(&place, format!("no request with the method {name:?} passes the gate"))
            .help(help);
    }

    fn check_path(&mut self, text: &Spanned<String>, path: &str, prefix: &str) {
        let place = self
            .within(text, text.value.rfind(path).map_or(0..0, |start| start..start + path.len()));
        // Requests belong to an API by its path as it is written.
        let is_met = |segment: &str, wanted: &str| {
            segment == wanted || segment.contains('{') || segment == "*"
        };
        let count = |path: &str| path.split('/').skip(1).count();
        let has_all = count(prefix) <= count(path) || path.ends_with("/*");
        let has_prefix = |path: &str, prefix: &str| {
            has_all
                && path
                    .split('/')
                    .zip(prefix.split('/'))
                    .skip(1)
                    .all(|(segment, wanted)| is_met(segment, wanted))
        };
        if has_prefix(path, prefix) {
            return;
        }
        let differs_in_case = has_prefix(&path.to_ascii_lowercase(), &prefix.to_ascii_lowercase());
        let meant = match path.get(prefix.len()..) {
            Some(rest) if differs_in_case => format!("{prefix}{rest}"),
            Some(_) | None => format!("{prefix}{path}"),
        };
        self.warning(
            &place,
            format!("no request of this API has such a path: all begin with {prefix:?}"),
        )
        .help(format!("did you mean \"{meant}\"?"));
    }
}

fn find_from(text: &str, part: &str, offset: usize) -> Option<Range<usize>> {
    let start = offset + text.get(offset..)?.find(part)?;
    Some(start..start + part.len())
}

/// What `GET`, `/bookmarks` or `GET, POST /bookmarks` was meant to be.
fn guessed_pattern(text: &str) -> Option<String> {
    let joined = text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
    let joined = if joined.is_empty() { "*".to_owned() } else { joined };
    let guesses = [joined.clone(), format!("* {joined}"), format!("{joined} *")];
    let guess = guesses
        .into_iter()
        .find(|guess| guess != text && guess.parse::<OperationPattern>().is_ok())?;
    Some(format!("did you mean \"{guess}\"?"))
}

//! Single values: lengths of time, quotas, numbers, sizes, files.

use std::fs;
use std::io::{self, Read};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use keystile_core::budget::{InvalidQuota, Quota, Window};
use keystile_core::time::Span;
use keystile_proxy::settings::TlsFiles;

use super::Resolver;
use crate::config::diagnostic::Place;
use crate::config::raw;
use crate::config::suggest::closest;
use crate::config::value::{NumberOrText, Spanned};

const TIME_UNITS: [&str; 20] = [
    "ms",
    "s",
    "min",
    "h",
    "second",
    "seconds",
    "minute",
    "minutes",
    "hour",
    "hours",
    "day",
    "days",
    "week",
    "weeks",
    "month",
    "months",
    "year",
    "years",
    "millisecond",
    "milliseconds",
];

const PEM_BYTES_MAX: u64 = 4 << 20;

const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl Resolver<'_> {
    /// The place of some bytes of a string's value; the whole string where it was written with
    /// escapes.
    pub(super) fn within(&self, spot: &Spanned<String>, part: Range<usize>) -> Place {
        let written = self.source.at(&spot.place);
        let quotes =
            ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| written.starts_with(quotes));
        let offset = quotes.map_or(0, str::len);
        match written.get(offset..) {
            Some(inner) if inner.starts_with(&spot.value) => {
                spot.place.start + offset + part.start..spot.place.start + offset + part.end
            }
            Some(_) | None => spot.place.clone(),
        }
    }

    /// The place of a word in a string's value; the whole string where it is not found.
    pub(super) fn word_in(&self, spot: &Spanned<String>, word: &str) -> Place {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let found =
            spot.value.match_indices(word).map(|(start, _)| start..start + word.len()).find(
                |range| {
                    let before = spot.value[..range.start].chars().next_back();
                    let after = spot.value[range.end..].chars().next();
                    !before.is_some_and(is_part) && !after.is_some_and(is_part)
                },
            );
        match found {
            Some(range) if !word.is_empty() => self.within(spot, range),
            Some(_) | None => spot.place.clone(),
        }
    }

    pub(super) fn parsed_span(&mut self, setting: &Spanned<String>) -> Option<Span> {
        let error = match setting.value.parse() {
            Ok(span) => return Some(span),
            Err(error) => error,
        };
        let text = setting.value.trim();
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim();
        let count =
            &text[..text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len()];
        let place = self.word_in(setting, unit);
        let known = TIME_UNITS.into_iter().filter(|unit| Span::of_unit(unit).is_some());
        let meant = closest(unit, known).filter(|meant| !count.is_empty() && *meant != unit);
        let problem = self.error(&place, format!("{error}"));
        if let Some(meant) = meant {
            problem.help(format!("did you mean \"{count} {meant}\"?"));
        } else if unit.is_empty() && !count.is_empty() {
            problem.help(format!("add a unit, as in \"{count} s\""));
        }
        None
    }

    /// A length of time up to a bound, or its default.
    pub(super) fn span(
        &mut self,
        setting: Option<&Spanned<String>>,
        default: Span,
        max: Span,
    ) -> Span {
        let Some(setting) = setting else {
            return default;
        };
        let Some(span) = self.parsed_span(setting) else {
            return default;
        };
        if span > max {
            self.error(&setting.place, format!("{:?} is too long", setting.value))
                .help(format!("it can be at most \"{max}\""));
        }
        span
    }

    pub(super) fn quota(&mut self, setting: &Spanned<String>) -> Option<Quota> {
        let error = match setting.value.parse::<Quota>() {
            Ok(quota) => return Some(quota),
            Err(error) => error,
        };
        let (place, help) = match &error {
            InvalidQuota::Unit(unit) => {
                let meant = closest(unit, TIME_UNITS);
                (self.word_in(setting, unit), meant.map(|meant| format!("did you mean `{meant}`?")))
            }
            InvalidQuota::Amount(amount) => (self.word_in(setting, amount), None),
            InvalidQuota::Form(_) => (setting.place.clone(), guessed_quota(&setting.value)),
            InvalidQuota::Window | InvalidQuota::Calendar => (setting.place.clone(), None),
        };
        self.error(&place, format!("{error}")).help_if(help);
        None
    }

    /// A quota that slows down and is therefore rolling and not empty.
    pub(super) fn rate(&mut self, setting: &Spanned<String>) -> Option<Quota> {
        let quota = self.quota(setting)?;
        if quota.amount == 0 {
            self.error(&setting.place, "this lets nothing pass, ever")
                .help("write at least \"1 per …\"");
            return None;
        }
        match quota.window {
            Window::Rolling(_) => Some(quota),
            Window::Calendar(_) => {
                let place = self.word_in(setting, "calendar");
                self.error(&place, "a rate limit has a rolling window")
                    .help("leave out `calendar`");
                None
            }
        }
    }

    /// A number within bounds, or its default.
    pub(super) fn number<T: TryFrom<i64>>(
        &mut self,
        key: &str,
        setting: Option<&Spanned<i64>>,
        bounds: RangeInclusive<i64>,
        default: T,
    ) -> T {
        let Some(setting) = setting else {
            return default;
        };
        if bounds.contains(&setting.value)
            && let Ok(value) = T::try_from(setting.value)
        {
            return value;
        }
        let message = format!("`{key}` is a number from {} to {}", bounds.start(), bounds.end());
        self.error(&setting.place, message);
        default
    }

    /// A size in bytes; `None` where it is wrong and has been reported.
    pub(super) fn bytes(&mut self, key: &str, setting: &Spanned<NumberOrText>) -> Option<u64> {
        let (text, size) = match &setting.value {
            NumberOrText::Number(number) => (number.to_string(), u64::try_from(*number).ok()),
            NumberOrText::Text(text) => (text.clone(), size_from(text)),
        };
        if size.is_some_and(|size| size > 0) {
            return size;
        }
        let digits = text.trim().trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text.trim()[digits.len()..].trim();
        let meant = closest(unit, SIZE_UNITS.map(|(name, _)| name)).filter(|_| !unit.is_empty());
        let message =
            format!("{text:?} is not a size for `{key}`: write bytes, or text as in \"10 MiB\"");
        let problem = self.error(&setting.place, message);
        if let Some(meant) = meant
            && !digits.is_empty()
        {
            problem.help(format!("did you mean \"{digits} {meant}\"?"));
        }
        None
    }

    /// The path of a PEM file that can be read.
    pub(super) fn pem(&mut self, setting: &Spanned<String>, what: &str) -> PathBuf {
        let path = self.base.join(&setting.value);
        let shown = path.display();
        let problem = match read_file(&path) {
            Ok(bytes) if contains(&bytes, b"-----BEGIN ") => None,
            Ok(_) => Some(format!("{shown} holds no {what} in PEM form")),
            Err(error) => Some(format!("the {what} {shown} cannot be read: {error}")),
        };
        if let Some(message) = problem {
            self.error(&setting.place, message);
        }
        path
    }

    pub(super) fn tls(&mut self, setting: Option<&Spanned<raw::Tls>>) -> Option<TlsFiles> {
        let setting = setting?;
        let raw::Tls { certificate, key } = &setting.value;
        if certificate.is_none() || key.is_none() {
            let missing = if certificate.is_none() { "certificate" } else { "key" };
            let example = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }";
            self.missing(&setting.place, missing, &format!("`tls` needs `{missing}`"), example);
        }
        let certificate = certificate.as_ref().map(|file| self.pem(file, "certificate"));
        let key = key.as_ref().map(|file| self.pem(file, "private key"));
        Some(TlsFiles { certificate: certificate?, key: key? })
    }
}

pub(super) fn flag(setting: Option<&Spanned<bool>>) -> bool {
    setting.is_some_and(|setting| setting.value)
}

/// The beginning of a file. What is no file, such as a pipe, could keep the reader waiting for
/// ever.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(PEM_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn size_from(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = (text[..end].parse::<u64>().ok()?, text[end..].trim());
    let (_, factor) =
        SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit) || unit.is_empty())?;
    count.checked_mul(*factor)
}

/// What `100/day`, `100 a day` or `100 pr day` was meant to be.
fn guessed_quota(text: &str) -> Option<String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
    let unit = text.rsplit(|c: char| !c.is_ascii_alphabetic()).next()?;
    let meant = closest(unit, TIME_UNITS)?;
    Some(format!("did you mean \"{} per {meant}\"?", &text[..end]))
}

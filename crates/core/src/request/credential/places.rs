//! The places of a request where keys stand.

use std::borrow::Cow;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use http::header::{AUTHORIZATION, HeaderName};

use crate::keys::text::speaks_of_key;
use crate::request::credential::parameter::{Repeated, value_of};
use crate::request::credential::presented::{Credential, CredentialPlace, Presented};
use crate::request::credential::rule::{CredentialRule, PairRule};
use crate::request::head::Fields;

/// The value of a field that may stand once.
fn single<'a>(fields: Fields<'a>, name: &HeaderName) -> Result<Option<&'a [u8]>, Repeated> {
    let mut values = fields.values(name.as_str());
    let first = values.next();
    if values.next().is_some() {
        return Err(Repeated);
    }
    // HTTP/1 does not count white space around a value, and HTTP/2 leaves it in place.
    Ok(first.map(<[u8]>::trim_ascii))
}

pub(super) fn in_header<'a>(fields: Fields<'a>, rule: &CredentialRule) -> Presented<'a> {
    if rule.header == AUTHORIZATION {
        return Presented::Nothing;
    }
    let text = match single(fields, &rule.header) {
        Ok(None | Some([])) => return Presented::Nothing,
        Ok(Some(text)) => text,
        Err(Repeated) => return Presented::Twice,
    };
    let credential = Credential { text: Cow::Borrowed(text), place: CredentialPlace::Header };
    if rule.is_header_chosen || speaks_of_key(text, &rule.prefix) {
        Presented::Key(credential)
    } else {
        Presented::Other(credential)
    }
}

pub(super) fn in_authorization<'a>(fields: Fields<'a>, rule: &CredentialRule) -> Presented<'a> {
    let value = match single(fields, &AUTHORIZATION) {
        Ok(None | Some([])) => return Presented::Nothing,
        Ok(Some(value)) => value,
        Err(Repeated) => return Presented::Twice,
    };
    let is_chosen = rule.header == AUTHORIZATION;
    let speaks = |text: &[u8]| speaks_of_key(text, &rule.prefix);
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(value.len());
    let (scheme, token) = (&value[..end], value[end..].trim_ascii_start());
    let is_basic = scheme.eq_ignore_ascii_case(b"basic");
    let (text, is_ours) = match Basic::read(token).filter(|_| is_basic) {
        Some(basic) if speaks(basic.user()) => (Cow::Owned(basic.into_user()), true),
        // Some clients have a field for the password only.
        Some(basic) if speaks(basic.password()) => (Cow::Owned(basic.password().to_vec()), true),
        // Both together are the key, where keys come in two parts.
        Some(basic) if rule.pair.is_some() && !basic.password().is_empty() => {
            (Cow::Owned(pair_text(basic.user(), basic.password())), false)
        }
        Some(basic) => (Cow::Owned(basic.into_user()), false),
        None if is_basic && is_chosen => (Cow::Borrowed(&[][..]), true),
        None => {
            let is_bearer = scheme.eq_ignore_ascii_case(b"bearer");
            let is_bare = token.is_empty() || (is_chosen && !is_bearer);
            (Cow::Borrowed(if is_bare { value } else { token }), speaks(value))
        }
    };
    if is_ours || is_chosen {
        Presented::Key(Credential { text, place: CredentialPlace::Authorization })
    } else {
        Presented::Nothing
    }
}

/// Clients differ in whether they pad, and a missing `=` leaves nothing open to two readings.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What Basic authentication carries (RFC 7617).
struct Basic {
    whole: Vec<u8>,
    /// Where the first colon is; without one, all is the user.
    colon: usize,
}

impl Basic {
    fn read(token: &[u8]) -> Option<Self> {
        let whole = BASE64.decode(token).ok()?;
        let colon = memchr::memchr(b':', &whole).unwrap_or(whole.len());
        Some(Self { whole, colon })
    }

    fn user(&self) -> &[u8] {
        &self.whole[..self.colon]
    }

    fn password(&self) -> &[u8] {
        self.whole.get(self.colon + 1..).unwrap_or_default()
    }

    fn into_user(mut self) -> Vec<u8> {
        self.whole.truncate(self.colon);
        self.whole
    }
}

pub(super) fn in_query<'a>(query: Option<&'a str>, rule: &CredentialRule) -> Presented<'a> {
    let (Some(query), Some(name)) = (query, rule.query_parameter.as_deref()) else {
        return Presented::Nothing;
    };
    match value_of(query, name) {
        Ok(None) => Presented::Nothing,
        Ok(Some(text)) => Presented::Key(Credential { text, place: CredentialPlace::Query }),
        Err(Repeated) => Presented::Twice,
    }
}

/// A key in two parts. Half of one is meant as a key, and is none.
pub(super) fn in_pair<'a>(
    fields: Fields<'a>,
    query: Option<&'a str>,
    rule: &PairRule,
) -> Presented<'a> {
    let part = |name: &HeaderName| Ok(single(fields, name)?.filter(|value| !value.is_empty()));
    let parts = match rule {
        PairRule::Headers { id, secret } => {
            part(id).and_then(|id| Ok((id.map(Cow::Borrowed), part(secret)?.map(Cow::Borrowed))))
        }
        PairRule::Query { id, secret } => query
            .map_or(Ok((None, None)), |query| Ok((value_of(query, id)?, value_of(query, secret)?))),
    };
    let text = match parts {
        Ok((None, None)) => return Presented::Nothing,
        Ok((Some(id), Some(secret))) => pair_text(&id, &secret),
        Ok((Some(_), None) | (None, Some(_))) => Vec::new(),
        Err(Repeated) => return Presented::Twice,
    };
    Presented::Key(Credential { text: Cow::Owned(text), place: CredentialPlace::Pair })
}

/// The longest text of a key in two parts: no key that another system issued is longer.
const PAIR_BYTES_MAX: usize = 255;

/// The text of a key in two parts. Empty, which no key equals, where it is too long, or where the first part
/// holds a colon, so that two pairs would read the same.
fn pair_text(id: &[u8], secret: &[u8]) -> Vec<u8> {
    let is_whole = !id.is_empty() && !secret.is_empty() && memchr::memchr(b':', id).is_none();
    let length = id.len().saturating_add(secret.len()).saturating_add(1);
    if !is_whole || length > PAIR_BYTES_MAX {
        return Vec::new();
    }
    [id, b":", secret].concat()
}

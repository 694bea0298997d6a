//! Reads queries and forms as the reference's web server reads them.
//!
//! Names in brackets make hashes and arrays: `usage[hits]=1`, `transactions[0][usage][hits]=1`, `a[]=1`,
//! `a[][b]=1`. What is not well formed reads as the reference reads it, mostly as a name of its own, so
//! that both take the same call for the same. A name that stands twice has its last value.
//!
//! # What this protects
//! Bytes, parameters and depth have bounds, time is linear in the bytes, and no text is copied that stands in
//! the query as it is meant.

use std::borrow::Cow;
use std::ops::Range;

use super::error::{BadRequest, RequestError};
use super::multipart;
use super::params::{DEPTH_MAX, PARAMETERS_MAX, Params, QUERY_BYTES_MAX, Value};

/// What a query or form says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    params: Params<'a>,
    has_foreign_bytes: bool,
}

impl<'a> Query<'a> {
    /// Reads `application/x-www-form-urlencoded` bytes.
    ///
    /// Fails on a percent sign without two hexadecimal digits, on one name for values of two kinds, and
    /// beyond the bounds. Bytes that are not UTF-8 are no failure here, because the reference says first
    /// that a provider key is missing: see [`Self::params`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RequestError> {
        if bytes.len() > QUERY_BYTES_MAX {
            return Err(BadRequest::Size.into());
        }
        let found = memchr::memchr_iter(b'&', bytes).count().saturating_add(1);
        if found > PARAMETERS_MAX {
            return Err(BadRequest::Count { found }.into());
        }
        let mut query = Self::default();
        for pair in bytes.split(|byte| *byte == b'&') {
            query.add(behind_spaces(pair))?;
        }
        Ok(query)
    }

    /// Reads a form in several parts, by its header `Content-Type`. Names make hashes and arrays as elsewhere.
    ///
    /// Fails as [`Self::parse`], and where the parts are none.
    pub fn parse_multipart(content_type: &str, bytes: &'a [u8]) -> Result<Self, RequestError> {
        if bytes.len() > QUERY_BYTES_MAX {
            return Err(BadRequest::Size.into());
        }
        let mut query = Self::default();
        let Some(boundary) = multipart::boundary(content_type)? else { return Ok(query) };
        for (name, value) in multipart::parts(boundary, bytes)? {
            let (name, value) = (query.text(name), query.text(Cow::Borrowed(value)));
            let whole = 0..name.len();
            insert(&mut query.params, &Name(name), whole, Value::Text(value), 0)?;
        }
        Ok(query)
    }

    /// All parameters. Fails when one is not UTF-8.
    pub const fn params(&self) -> Result<&Params<'a>, RequestError> {
        if self.has_foreign_bytes { Err(RequestError::NotValidData) } else { Ok(&self.params) }
    }

    /// All parameters, with U+FFFD in place of what is not UTF-8: for what is looked at before that fails.
    pub(super) const fn params_with_replacements(&self) -> &Params<'a> {
        &self.params
    }

    /// Adds what a form says to what the query says. Where both have a name, the form's value holds.
    #[must_use]
    pub fn with_form(mut self, form: Self) -> Self {
        self.params.overlay(form.params);
        self.has_foreign_bytes |= form.has_foreign_bytes;
        self
    }

    fn add(&mut self, pair: &'a [u8]) -> Result<(), BadRequest> {
        if pair.is_empty() {
            return Ok(());
        }
        let equals = pair.iter().position(|byte| *byte == b'=');
        let name = self.decode(&pair[..equals.unwrap_or(pair.len())])?;
        let value = match equals {
            None => Value::Null,
            Some(at) => Value::Text(self.decode(&pair[at..][1..])?),
        };
        let whole = 0..name.len();
        insert(&mut self.params, &Name(name), whole, value, 0)
    }

    fn decode(&mut self, escaped: &'a [u8]) -> Result<Cow<'a, str>, BadRequest> {
        let Some(first) = escaped.iter().position(|byte| matches!(byte, b'%' | b'+')) else {
            return Ok(match str::from_utf8(escaped) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => self.replaced(escaped),
            });
        };
        let mut bytes = Vec::with_capacity(escaped.len());
        bytes.extend_from_slice(&escaped[..first]);
        let mut rest = &escaped[first..];
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let (digits, behind) = rest.split_first_chunk().ok_or(BadRequest::Escape)?;
                    bytes.push(unescaped(*digits).ok_or(BadRequest::Escape)?);
                    rest = behind;
                }
                byte => bytes.push(*byte),
            }
        }
        Ok(match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(error) => self.replaced(error.as_bytes()),
        })
    }

    fn text(&mut self, bytes: Cow<'a, [u8]>) -> Cow<'a, str> {
        match bytes {
            Cow::Borrowed(bytes) => match str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => self.replaced(bytes),
            },
            Cow::Owned(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Cow::Owned(text),
                Err(error) => self.replaced(error.as_bytes()),
            },
        }
    }

    fn replaced(&mut self, bytes: &[u8]) -> Cow<'a, str> {
        self.has_foreign_bytes = true;
        Cow::Owned(String::from_utf8_lossy(bytes).into_owned())
    }
}

fn unescaped([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16)?).ok();
    Some((digit(high)? << 4) | digit(low)?)
}

/// A parameter without the spaces before it, which belong to the separator.
fn behind_spaces(pair: &[u8]) -> &[u8] {
    let start = pair.iter().position(|byte| *byte != b' ').unwrap_or(pair.len());
    &pair[start..]
}

/// A name with all its brackets.
struct Name<'a>(Cow<'a, str>);

impl<'a> Name<'a> {
    fn text(&self, span: &Range<usize>) -> &str {
        &self.0[span.clone()]
    }

    /// A part of it as a key, borrowed from the query where the name is.
    fn key(&self, span: Range<usize>) -> Cow<'a, str> {
        match &self.0 {
            Cow::Borrowed(name) => Cow::Borrowed(&name[span]),
            Cow::Owned(name) => Cow::Owned(name[span].to_owned()),
        }
    }
}

/// Divides a name into its first key and the brackets behind it.
fn first_key(name: &Name<'_>, span: Range<usize>, depth: usize) -> (Range<usize>, Range<usize>) {
    let text = name.text(&span);
    let find = |byte: u8, from: usize| {
        let at = text.bytes().skip(from).position(|known| known == byte)?;
        Some(span.start.saturating_add(at).saturating_add(from))
    };
    // The key, and where the rest begins behind a closing bracket.
    let (key, rest) = if depth == 0 {
        // A bracket that comes first is a part of the name.
        let end = find(b'[', 1).unwrap_or(span.end);
        (span.start..end, end)
    } else if text.starts_with("[]") {
        let end = span.start.saturating_add(2);
        (span.start..end, end)
    } else if let (true, Some(close)) = (text.starts_with('['), find(b']', 1)) {
        (span.start.saturating_add(1)..close, close.saturating_add(1))
    } else {
        (span.clone(), span.end)
    };
    (key, rest..span.end)
}

/// Puts a value where its name says.
fn insert<'a>(
    params: &mut Params<'a>,
    name: &Name<'a>,
    span: Range<usize>,
    value: Value<'a>,
    depth: usize,
) -> Result<(), BadRequest> {
    if depth >= DEPTH_MAX {
        return Err(BadRequest::Depth);
    }
    let (key, rest) = first_key(name, span.clone(), depth);
    let deeper = depth.saturating_add(1);
    match name.text(&rest) {
        // Nameless.
        _ if key.is_empty() => {}
        // An array in a hash that stands in an array: the reference drops it.
        "" if depth > 0 && name.text(&key) == "[]" => {}
        "" => *params.slot(name.key(key)) = value,
        // An open bracket at the end is a part of the name.
        "[" => *params.slot(name.key(span)) = value,
        "[]" => array(params.slot(name.key(key)))?.push(value),
        brackets if brackets.starts_with("[]") => {
            let element = element_name(brackets, rest);
            let elements = array(params.slot(name.key(key)))?;
            match elements.last_mut() {
                Some(Value::Hash(last)) if !has(last, name.text(&element)) => {
                    insert(last, name, element, value, deeper)?;
                }
                _ => elements.push(new_element(name, element, value, deeper)?),
            }
        }
        _ => {
            let slot = params.slot(name.key(key));
            if *slot == Value::Null {
                *slot = Value::Hash(Params::default());
            }
            let Value::Hash(inner) = slot else { return Err(BadRequest::Syntax) };
            insert(inner, name, rest, value, deeper)?;
        }
    }
    Ok(())
}

fn array<'s, 'a>(slot: &'s mut Value<'a>) -> Result<&'s mut Vec<Value<'a>>, BadRequest> {
    if *slot == Value::Null {
        *slot = Value::List(Vec::new());
    }
    if let Value::List(elements) = slot { Ok(elements) } else { Err(BadRequest::Syntax) }
}

/// What an array's element is called: `b` in `a[][b]`, and all behind the first brackets in other forms.
fn element_name(brackets: &str, span: Range<usize>) -> Range<usize> {
    let start = span.start.saturating_add(2);
    let inner = brackets.strip_prefix("[][").and_then(|inner| inner.strip_suffix(']'));
    match inner {
        Some(inner) if !inner.is_empty() && !inner.contains(['[', ']']) => {
            start.saturating_add(1)..span.end.saturating_sub(1)
        }
        _ => start..span.end,
    }
}

fn new_element<'a>(
    name: &Name<'a>,
    span: Range<usize>,
    value: Value<'a>,
    depth: usize,
) -> Result<Value<'a>, BadRequest> {
    if name.text(&span) == "[]" {
        return if depth < DEPTH_MAX {
            Ok(Value::List(vec![value]))
        } else {
            Err(BadRequest::Depth)
        };
    }
    let mut params = Params::default();
    insert(&mut params, name, span, value, depth)?;
    Ok(Value::Hash(params))
}

/// Whether a hash has what a name in brackets leads to, so that the next element begins.
fn has(params: &Params<'_>, name: &str) -> bool {
    if name.contains("[]") {
        return false;
    }
    let mut keys = name.split(['[', ']']).filter(|key| !key.is_empty());
    let Some(first) = keys.next() else { return true };
    let found = params.get(first);
    keys.fold(found, |value, key| value?.hash()?.get(key)).is_some()
}

//! One spelling for every path, and none for a path that two servers could read differently.

use std::borrow::Cow;

use crate::refusal::{Reason, Refusal};

/// A path that has one reading.
pub(super) struct Path<'a> {
    pub(super) exact: Cow<'a, str>,
    pub(super) folded: Cow<'a, str>,
    pub(super) has_matrix_parameter: bool,
}

const UNRESERVED: u8 = 1;
const OTHER_PCHAR: u8 = 1 << 1;
const SLASH: u8 = 1 << 2;
const PERCENT: u8 = 1 << 3;
const SEMICOLON: u8 = 1 << 4;
const CAPITAL: u8 = 1 << 5;
const REFUSED: u8 = 1 << 6;

/// What each byte is in a path (RFC 3986 section 3.3); the path's bytes are combined by "or".
static CLASS: [u8; 256] = {
    let mut class = [REFUSED; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        class[byte as usize] = match byte {
            b'A'..=b'Z' => UNRESERVED | CAPITAL,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => UNRESERVED,
            b'!' | b'$' | b'&'..=b',' | b'=' | b':' | b'@' => OTHER_PCHAR,
            b'/' => SLASH,
            b'%' => PERCENT,
            b';' => SEMICOLON,
            _ => REFUSED,
        };
        byte += 1;
    }
    class
};

fn refused(detail: &'static str) -> Refusal {
    Refusal::new(Reason::PathInvalid).because(detail)
}

/// Reads a path that starts with `/`.
pub(super) fn canonical(raw: &str) -> Result<Path<'_>, Refusal> {
    let seen = raw.bytes().fold(0, |seen, byte| seen | CLASS[usize::from(byte)]);
    if seen & REFUSED != 0 {
        return check_characters(raw.as_bytes()).and(Err(refused("The path cannot be read.")));
    }
    if seen & PERCENT == 0 {
        check_segments(raw)?;
        let is_folded = seen & (CAPITAL | SEMICOLON) == 0;
        return Ok(Path {
            exact: Cow::Borrowed(raw),
            folded: if is_folded { without_trailing_slash(raw).into() } else { fold_path(raw) },
            has_matrix_parameter: seen & SEMICOLON != 0,
        });
    }
    let exact = with_canonical_escapes(raw)?;
    check_segments(&exact)?;
    let folded = fold_path(&exact).into_owned();
    let has_matrix_parameter = seen & SEMICOLON != 0 || exact.contains("%3B");
    let exact = if exact == raw { Cow::Borrowed(raw) } else { Cow::Owned(exact) };
    Ok(Path { exact, folded: Cow::Owned(folded), has_matrix_parameter })
}

/// Names the first byte that cannot stand in a path as it is.
pub(super) fn check_characters(path: &[u8]) -> Result<(), Refusal> {
    match path.iter().find(|byte| CLASS[usize::from(**byte)] & REFUSED != 0) {
        None => Ok(()),
        Some(byte) => Err(unescaped(Reason::PathInvalid, "path", *byte)),
    }
}

/// The refusal of a part of a target for a byte that must be escaped in it.
pub(super) fn unescaped(reason: Reason, part: &str, byte: u8) -> Refusal {
    let shown = match byte {
        b' ' => "a space".to_owned(),
        0x21..0x7f => format!("`{}`", char::from(byte)),
        _ => format!("the byte {byte:#04x}"),
    };
    Refusal::new(reason)
        .because(format!("The {part} holds {shown}, which must be written as %{byte:02X}."))
}

/// Decodes what needs no escape, and writes the escapes that stay in capital digits.
fn with_canonical_escapes(raw: &str) -> Result<String, Refusal> {
    let mut exact = String::with_capacity(raw.len());
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            exact.push(char::from(*first));
            decoded.push(*first);
            rest = after;
            continue;
        }
        let (byte, after) = unescape(rest).ok_or_else(|| {
            refused("A `%` in the path is not followed by two hexadecimal digits.")
        })?;
        match byte {
            b'/' | b'\\' => return Err(refused("The path holds an encoded slash or backslash.")),
            // A second decoding, somewhere behind, would make of `%252e` what `%2e` may not be.
            b'%' => return Err(refused("The path holds an encoded percent sign.")),
            0..0x20 | 0x7f => return Err(refused("The path holds a control character.")),
            _ if CLASS[usize::from(byte)] & UNRESERVED != 0 => exact.push(char::from(byte)),
            _ => push_escape(&mut exact, byte),
        }
        decoded.push(byte);
        rest = after;
    }
    match std::str::from_utf8(&decoded) {
        Ok(_) => Ok(exact),
        Err(_) => Err(refused("The path is not valid UTF-8 when it is decoded.")),
    }
}

/// A segment of a rule in the spelling that it has in requests; `None` where no request can have it.
pub(crate) fn canonical_segment(segment: &str) -> Option<String> {
    let mut path = String::from("/");
    for byte in segment.bytes() {
        if byte.is_ascii() {
            path.push(char::from(byte));
        } else {
            push_escape(&mut path, byte);
        }
    }
    let exact = canonical(&path).ok()?.exact;
    exact.strip_prefix('/').filter(|segment| !segment.contains('/')).map(str::to_owned)
}

fn push_escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// The byte that an escape at the very start stands for, and what follows the escape.
pub(crate) fn unescape(text: &[u8]) -> Option<(u8, &[u8])> {
    let ([percent, high, low], rest) = text.split_first_chunk()?;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    if *percent != b'%' {
        return None;
    }
    Some((digit(*high)? << 4 | digit(*low)?, rest))
}

/// Refuses dot segments and empty segments; the last may be empty, which is the trailing slash.
///
/// Servlet containers drop `;` and what follows before they look at a segment, so `/a/..;x/b` is
/// `/b` to them: a segment is judged by what stands before its parameters.
fn check_segments(path: &str) -> Result<(), Refusal> {
    let starts_oddly = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.' | b';' | b'%']);
    if !path.as_bytes().windows(2).any(starts_oddly) {
        return Ok(());
    }
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment.as_bytes() {
            [] if segments.peek().is_none() => {}
            [] => return Err(refused("The path holds an empty segment (`//`).")),
            [b'.' | b';' | b'%', ..] => check_name(segment_name(segment))?,
            [..] => {}
        }
    }
    Ok(())
}

fn segment_name(segment: &str) -> &str {
    let end = segment.find(';').unwrap_or(segment.len());
    let end = segment[..end].find("%3B").unwrap_or(end);
    &segment[..end]
}

fn check_name(name: &str) -> Result<(), Refusal> {
    match name {
        "" => Err(refused("The path holds a segment of nothing but parameters.")),
        "." | ".." => Err(refused("The path holds a dot segment.")),
        _ => Ok(()),
    }
}

/// The path as the laxest upstream could read it: all escapes decoded, matrix parameters dropped,
/// in lower case, and without a trailing slash.
///
/// Rules fold their own literal segments by the same function before they are compared. What comes
/// back is for comparing only: it may hold characters that no path can.
pub fn fold_path(path: &str) -> Cow<'_, str> {
    let needs_copy = |byte: u8| byte.is_ascii_uppercase() || matches!(byte, b'%' | b';' | 0x80..);
    if !path.bytes().any(needs_copy) {
        return Cow::Borrowed(without_trailing_slash(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    let mut in_parameters = false;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = unescape(rest).unwrap_or((*first, after));
        match byte {
            b'/' => in_parameters = false,
            b';' => in_parameters = true,
            _ => {}
        }
        if !in_parameters {
            decoded.push(byte);
        }
        rest = after;
    }
    let folded = match String::from_utf8(decoded) {
        Ok(mut text) if text.is_ascii() => {
            text.make_ascii_lowercase();
            text
        }
        Ok(text) => text.to_lowercase(),
        Err(error) => String::from_utf8_lossy(error.as_bytes()).to_lowercase(),
    };
    Cow::Owned(without_trailing_slash(&folded).to_owned())
}

fn without_trailing_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        None | Some("") => path,
        Some(shorter) => shorter,
    }
}

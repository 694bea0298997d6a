//! Parameters of a query, as an upstream would decode them.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::request::grammar::unescape;

/// A parameter stands twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated;

/// The value of a parameter that may stand once; nothing where it is empty or not there.
pub(super) fn value_of<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, [u8]>>, Repeated> {
    let mut occurrences = query.split('&').filter(|pair| is_named(pair, name));
    let Some(pair) = occurrences.next() else {
        return Ok(None);
    };
    if occurrences.next().is_some() {
        return Err(Repeated);
    }
    let (_, value) = pair.split_once('=').unwrap_or((pair, ""));
    if value.is_empty() {
        return Ok(None);
    }
    Ok(Some(if memchr::memchr(b'%', value.as_bytes()).is_some() {
        Cow::Owned(form_decoded(value.as_bytes()).collect())
    } else {
        Cow::Borrowed(value.as_bytes())
    }))
}

/// The query without parameters of these names, however they are escaped; `None` where nothing is left.
///
/// Everything else keeps its bytes and its order. Borrows where none of them occurs.
pub(super) fn without<'q>(query: &'q str, names: &[&str]) -> Option<Cow<'q, str>> {
    let goes = |pair: &&str| names.iter().any(|name| is_named(pair, name));
    let pairs: SmallVec<[&str; 16]> = query.split('&').collect();
    if !pairs.iter().any(goes) {
        return Some(Cow::Borrowed(query));
    }
    let mut kept = pairs.into_iter().filter(|pair| !goes(pair));
    let mut left = String::with_capacity(query.len());
    left.push_str(kept.next()?);
    for pair in kept {
        left.push('&');
        left.push_str(pair);
    }
    Some(Cow::Owned(left))
}

/// Whether the pair's name, as an upstream would decode it, is this one: `api%5Fkey` is `api_key`.
fn is_named(pair: &str, name: &str) -> bool {
    let raw = pair.split_once('=').map_or(pair, |(raw, _)| raw);
    form_decoded(raw.as_bytes()).eq(name.bytes())
}

/// The bytes that a form parser reads; an escape that is none stands for itself.
fn form_decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        let plain = if *first == b'+' { b' ' } else { *first };
        let (byte, after) = unescape(rest).unwrap_or((plain, after));
        rest = after;
        Some(byte)
    })
}

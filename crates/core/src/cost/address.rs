//! The parameters of an address, as strict and lenient servers read them.

use super::uncountable::Uncountable;
use crate::request::grammar::unescape;

/// More rounds of decoding than any chain of servers does.
const DECODINGS_MAX: usize = 4;

/// Every name that some server finds in a query string: split at `;` and a second `?` too, and decoded
/// as often as that changes something.
pub(super) fn names(query: &str) -> Vec<String> {
    let parts = query.split(['&', ';', '?']).filter(|part| !part.is_empty());
    parts.flat_map(|part| decodings(part.split('=').next().unwrap_or_default())).collect()
}

fn decodings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned()];
    for _ in 0..DECODINGS_MAX {
        let last = all.last().map(String::as_str).unwrap_or_default();
        let next = String::from_utf8_lossy(&decoded(last)).into_owned();
        if next == last {
            break;
        }
        all.push(next);
    }
    all
}

/// The values of the parameters whose name is written just so.
pub(super) fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = &'q str> {
    query.split('&').filter_map(move |pair| {
        let (written, value) = pair.split_once('=').unwrap_or((pair, ""));
        (written == name).then_some(value)
    })
}

/// The text of a value: `+` is a blank, `%` escapes are bytes.
pub(super) fn text(value: &str) -> Result<String, Uncountable> {
    if value.contains(';') {
        return Err(Uncountable::new(
            "A parameter in the address holds a `;`, where some servers end it. Write it as %3B.",
        ));
    }
    String::from_utf8(decoded(value))
        .map_err(|_| Uncountable::new("A parameter in the address is not valid UTF-8."))
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'+' => (b' ', after),
            _ => unescape(rest).unwrap_or((*first, after)),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}

//! Which credential of a request is a key of ours, and how it is taken out before the request goes on.
//!
//! A key is read from one field, from `Authorization`, and, only where the owner says so, from the
//! query. The API behind the gate may want credentials too, and in the same places. So a credential is
//! ours only where it speaks of a key (see [`crate::keys::text::speaks_of_key`]), or where it stands in a place
//! that the owner chose for keys. Everything else is the API's, and passes untouched.
//!
//! A key may be given once. Two are refused even when they are equal: where two places are read, two
//! servers can see two callers. For that reason the fields that are read may stand once, whosesoever
//! their values are.
//!
//! A key that another system issued ([`crate::keys::imported`]) speaks of nothing. It is found in a field or query
//! parameter that the owner chose, where everything is meant as a key, and in `X-API-Key` also where nobody
//! chose: what stands there is looked up, and is the API's only where it is no key. In `Authorization` it is
//! found only where the owner chose that field, alone, as a bearer token or as the user of Basic; there
//! it is otherwise the API's own credential, like every text that does not speak of a key, and passes to it.
//!
//! A key of another system may come in two parts, where the owner names their places. It is one text then, and all
//! that is said of keys here is said of both parts together.
//!
//! Not here: whether the key exists. A text that is meant as a key and cannot be one is still ours, so
//! that malformed, mistyped and unknown keys are answered alike, and none is passed on.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, HeaderMap};
use smallvec::SmallVec;

use crate::request::head::Fields;

mod parameter;
mod places;
mod presented;
mod rule;

use places::{in_authorization, in_header, in_pair, in_query};
pub use presented::{Credential, CredentialPlace, Presented};
pub use rule::{CredentialRule, PairRule};

/// Finds what a request presents.
///
/// An empty value is no credential, but it is an occurrence: beside a second one it is refused. Does not
/// allocate unless there is Basic, the key is percent-encoded, or it comes in two parts.
pub fn find<'a>(
    fields: Fields<'a>,
    query: Option<&'a str>,
    rule: &CredentialRule,
) -> Presented<'a> {
    let in_places =
        [in_header(fields, rule), in_authorization(fields, rule), in_query(query, rule)];
    let found = in_places.into_iter().fold(Presented::Nothing, both);
    match &rule.pair {
        None => found,
        Some(pair) => both(found, in_pair(fields, query, pair)),
    }
}

fn both<'a>(found: Presented<'a>, next: Presented<'a>) -> Presented<'a> {
    match (found, next) {
        (Presented::Twice, _) | (_, Presented::Twice) | (Presented::Key(_), Presented::Key(_)) => {
            Presented::Twice
        }
        (Presented::Key(key), _) | (_, Presented::Key(key)) => Presented::Key(key),
        (Presented::Other(other), _) | (_, Presented::Other(other)) => Presented::Other(other),
        (Presented::Nothing, Presented::Nothing) => Presented::Nothing,
    }
}

/// Takes the key out of the fields, so that the upstream never learns it. For the query, see
/// [`strip_query`].
pub fn strip(headers: &mut HeaderMap, place: CredentialPlace, rule: &CredentialRule) {
    match place {
        CredentialPlace::Header => drop(headers.remove(&rule.header)),
        CredentialPlace::Authorization => drop(headers.remove(AUTHORIZATION)),
        CredentialPlace::Query => {}
        CredentialPlace::Pair => {
            for name in rule.pair.iter().filter_map(PairRule::fields).flatten() {
                headers.remove(name);
            }
        }
    }
}

/// Whether a key in this place may leave something of itself in the query.
pub fn may_stand_in_query(place: CredentialPlace) -> bool {
    match place {
        CredentialPlace::Header | CredentialPlace::Authorization => false,
        CredentialPlace::Query | CredentialPlace::Pair => true,
    }
}

/// The query without the rule's parameters, however their names are escaped; `None` where nothing is left.
///
/// Everything else keeps its bytes and its order. Borrows where none of them occurs.
pub fn strip_query<'q>(query: &'q str, rule: &CredentialRule) -> Option<Cow<'q, str>> {
    let of_pair = rule.pair.iter().filter_map(PairRule::parameters).flatten();
    let names: SmallVec<[&str; 3]> =
        rule.query_parameter.as_deref().into_iter().chain(of_pair).collect();
    parameter::without(query, &names)
}

#[cfg(test)]
mod tests;

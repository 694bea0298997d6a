//! What a body costs: the entries of a JSON array, the mutations of a GraphQL request, the calls of a
//! JSON-RPC batch. A body that cannot be counted is never free.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::operation::{BodyKind, BodyRule};
use crate::refusal::{Reason, Refusal};

mod graphql;

/// Where the text of a call lies.
#[derive(Clone, Copy, Debug)]
pub enum CallText<'a> {
    /// The whole body.
    Body(&'a [u8]),
    /// The query string; GraphQL requests may come in one.
    Query(&'a str),
    /// Both: GraphQL servers differ in which of the two they carry out.
    Both {
        /// The query string.
        query: &'a str,
        /// The whole body.
        body: &'a [u8],
    },
}

/// The body's form is not what its operation says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Uncountable(String);

impl Uncountable {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// What a call costs in each of its budgets; zero when it only reads.
///
/// A body that cannot be counted costs the rule's `cost_max`, and is refused where there is none.
pub fn cost_of(rule: &BodyRule, cost_min: u32, text: CallText<'_>) -> Result<u32, Refusal> {
    let counted = match (&rule.kind, text) {
        (BodyKind::Items { at: None }, CallText::Body(body) | CallText::Both { body, .. }) => {
            top_level(body)
        }
        (
            BodyKind::Items { at: Some(field) },
            CallText::Body(body) | CallText::Both { body, .. },
        ) => in_field(body, field),
        (BodyKind::JsonRpc, CallText::Body(body) | CallText::Both { body, .. }) => json_rpc(body),
        (BodyKind::GraphQl, text) => graphql::mutations(text),
        (BodyKind::Items { .. } | BodyKind::JsonRpc, CallText::Query(_)) => Ok(1),
    };
    match (counted, &rule.kind) {
        (Ok(0), BodyKind::GraphQl) => Ok(0),
        (Ok(count), _) => Ok(count.max(cost_min)),
        (Err(fault), _) => match rule.cost_max {
            Some(cost) => Ok(cost.max(cost_min)),
            None => Err(Refusal::new(Reason::BodyUncountable).because(fault.0)),
        },
    }
}

/// Counts the entries of an array without keeping them.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<u32, A::Error> {
        let mut count = 0_u32;
        while entries.next_element::<IgnoredAny>()?.is_some() {
            count = count.saturating_add(1);
        }
        Ok(count)
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Entries {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u32, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

/// Counts the entries of the array in one field of an object.
struct FieldEntries<'f>(&'f str);

impl<'de> Visitor<'de> for FieldEntries<'_> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a JSON object with an array at {:?}", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<u32, A::Error> {
        let mut found = None;
        while let Some(name) = fields.next_key::<String>()? {
            // Some parsers, such as Go's, take a field in whatever case it is written.
            if !name.eq_ignore_ascii_case(self.0) {
                fields.next_value::<IgnoredAny>()?;
            } else if found.replace(fields.next_value_seed(Entries)?).is_some() {
                // Parsers differ in which of the two they keep.
                return Err(serde::de::Error::custom(format_args!(
                    "the field {name:?} is given twice"
                )));
            }
        }
        found
            .ok_or_else(|| serde::de::Error::custom(format_args!("there is no field {:?}", self.0)))
    }
}

fn whole<T>(
    body: &[u8],
    read: impl FnOnce(
        &mut serde_json::Deserializer<serde_json::de::SliceRead<'_>>,
    ) -> serde_json::Result<T>,
) -> Result<T, Uncountable> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    read(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| Uncountable::new(format!("The body cannot be counted: {error}.")))
}

fn top_level(body: &[u8]) -> Result<u32, Uncountable> {
    whole(body, |deserializer| deserializer.deserialize_seq(Entries))
}

fn in_field(body: &[u8], field: &str) -> Result<u32, Uncountable> {
    whole(body, |deserializer| deserializer.deserialize_map(FieldEntries(field)))
}

/// A JSON-RPC 2.0 request is one object, a batch a non-empty array of them (section 6).
fn json_rpc(body: &[u8]) -> Result<u32, Uncountable> {
    match body.trim_ascii_start().first() {
        Some(b'[') => top_level(body),
        _ => whole(body, |deserializer| deserializer.deserialize_map(AnyObject)).map(|()| 1),
    }
}

struct AnyObject;

impl<'de> Visitor<'de> for AnyObject {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC request or batch")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cost(kind: BodyKind, cost_max: Option<u32>, body: &str) -> Result<u32, Reason> {
        cost_of(&BodyRule { kind, cost_max }, 1, CallText::Body(body.as_bytes()))
            .map_err(|refusal| refusal.reason)
    }

    fn items(at: Option<&str>) -> BodyKind {
        BodyKind::Items { at: at.map(str::to_owned) }
    }

    #[test]
    fn entries_of_the_named_array_are_counted() {
        assert_eq!(cost(items(None), None, "[1, {\"a\": [2, 3]}, null]"), Ok(3));
        assert_eq!(cost(items(Some("rows")), None, "{\"x\": [1], \"rows\": [1, 2]}"), Ok(2));
        assert_eq!(cost(BodyKind::JsonRpc, None, " [{}, {}]"), Ok(2));
        assert_eq!(cost(BodyKind::JsonRpc, None, "{\"method\": \"x\"}"), Ok(1));
    }

    #[test]
    fn an_empty_list_is_not_free() {
        assert_eq!(cost(items(None), None, "[]"), Ok(1));
    }

    #[test]
    fn a_body_that_cannot_be_counted_is_refused_or_costs_the_maximum() {
        for body in [
            "",
            "{",
            "{\"a\": 1}",
            "[1] [2]",
            "[1,]",
            "\u{feff}[1]",
            "{\"rows\":[1],\"rows\":[1,2]}",
            "{\"rows\":[1],\"Rows\":[1,2]}",
        ] {
            assert_eq!(
                cost(items(Some("rows")), None, body),
                Err(Reason::BodyUncountable),
                "{body}"
            );
            assert_eq!(cost(items(Some("rows")), Some(50), body), Ok(50), "{body}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(cost(items(None), None, &deep), Err(Reason::BodyUncountable));
    }

    proptest! {
        #[test]
        fn hostile_bodies_are_never_free(body in prop::collection::vec(any::<u8>(), 0..200)) {
            for kind in [items(None), items(Some("a")), BodyKind::JsonRpc] {
                let rule = BodyRule { kind, cost_max: Some(9) };
                prop_assert!(cost_of(&rule, 1, CallText::Body(&body)).unwrap() >= 1);
            }
        }
    }
}

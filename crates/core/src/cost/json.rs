//! The entries of a JSON array, and the calls of a JSON-RPC request.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::address::names;
use super::call::CountedCall;
use super::media::{self, JSON};
use super::member::{is_near, is_prototype};
use super::uncountable::Uncountable;

/// How many entries the array of a body has: the body itself, or the array in one of its members.
pub(super) fn items(call: &CountedCall<'_>, at: Option<&str>) -> Result<u32, Uncountable> {
    let (_, text) = media::text(call, &[JSON])?;
    let Some(member) = at else {
        return whole(text, Entries);
    };
    // Frameworks that merge the address and the body into one list of parameters would find two.
    if names(call.query).iter().any(|name| is_near(name, member)) {
        return Err(Uncountable::new(format!(
            "The list {member:?} may stand in the body only, and the address has a parameter of that name."
        )));
    }
    whole(text, MemberEntries(member))
}

/// How many calls a JSON-RPC 2.0 request has: one, or those of a batch (section 6).
pub(super) fn calls(call: &CountedCall<'_>) -> Result<u32, Uncountable> {
    let (_, text) = media::text(call, &[JSON])?;
    whole(text, Calls)
}

/// Reads a text to its end.
pub(super) fn whole<'de, S: DeserializeSeed<'de>>(
    text: &'de str,
    seed: S,
) -> Result<S::Value, Uncountable> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    seed.deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| Uncountable::new(format!("The body cannot be counted: {error}.")))
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

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u32, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

/// Counts the entries of the array in one member of an object.
struct MemberEntries<'n>(&'n str);

impl<'de> Visitor<'de> for MemberEntries<'_> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a JSON object with an array at {:?}", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u32, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<String>()? {
            if name == self.0 && found.is_none() {
                found = Some(members.next_value_seed(Entries)?);
            } else {
                check_apart(&name, &[self.0])?;
                members.next_value::<IgnoredAny>()?;
            }
        }
        found.ok_or_else(|| A::Error::custom(format_args!("there is no member {:?}", self.0)))
    }
}

impl<'de> DeserializeSeed<'de> for MemberEntries<'_> {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u32, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// Refuses a member that a decoder could take for one of those that count: parsers differ in which of
/// two equal names they keep, and in which names are equal to them.
pub(super) fn check_apart<E: serde::de::Error>(name: &str, counted: &[&str]) -> Result<(), E> {
    if is_prototype(name) {
        return Err(E::custom(format_args!("a member may not be named {name:?}")));
    }
    match counted.iter().find(|counted| is_near(name, counted)) {
        Some(counted) => {
            Err(E::custom(format_args!("the member {name:?} can be read as a second {counted:?}")))
        }
        None => Ok(()),
    }
}

/// One call, or a batch of them.
struct Calls;

impl<'de> Visitor<'de> for Calls {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC request or batch")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<u32, A::Error> {
        let mut count = 0_u32;
        while entries.next_element_seed(Call)?.is_some() {
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<u32, A::Error> {
        Call.visit_map(members).map(|()| 1)
    }
}

impl<'de> DeserializeSeed<'de> for Calls {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u32, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// One JSON-RPC call.
///
/// Where arrays and objects are one type, as in PHP, `{"0": {...}, "1": {...}}` is a batch; so no member
/// of a call is named by a number.
struct Call;

impl<'de> Visitor<'de> for Call {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC call")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            let is_number = name.trim().starts_with(|c: char| c.is_numeric() || "+-".contains(c));
            if is_number || is_prototype(&name) {
                return Err(A::Error::custom(format_args!("a call has no member {name:?}")));
            }
            members.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Call {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

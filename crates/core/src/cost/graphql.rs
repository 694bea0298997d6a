//! The GraphQL request of a call: a JSON object or an array of them, the bare document, or a query string;
//! exactly one of these.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::call::CountedCall;
use super::json::{check_apart, whole};
use super::media::{self, GRAPHQL, JSON};
use super::member::is_near;
use super::uncountable::Uncountable;
use super::{address, document};
use crate::policy::operation::is_safe;

/// What a request over HTTP consists of (GraphQL over HTTP, section 5.1).
const QUERY: &str = "query";
const OPERATION_NAME: &str = "operationName";
const VARIABLES: &str = "variables";
const EXTENSIONS: &str = "extensions";

/// By these servers find a document that the request does not show.
const PERSISTED: [&str; 11] = [
    "id",
    "hash",
    "sha256Hash",
    "docId",
    "documentId",
    "queryId",
    "queryHash",
    "operationId",
    "operationHash",
    "persistedQuery",
    "persistedDocument",
];

fn is_persisted(name: &str) -> bool {
    PERSISTED.iter().any(|id| is_near(name, id)) || name.to_ascii_lowercase().contains("persist")
}

pub(super) fn mutations(call: &CountedCall<'_>) -> Result<u32, Uncountable> {
    let in_address = in_address(call.query)?;
    match (in_address, call.body.is_empty()) {
        (Some(text), true) => document::mutations(&text),
        (Some(_), false) => Err(Uncountable::new(
            "The address has a `query`, and there is a body too. Send the request in one of them.",
        )),
        // A browser that opens the page of a GraphQL explorer, say.
        (None, true) if is_safe(call.method) => Ok(0),
        (None, true) => Err(Uncountable::new(
            "There is no GraphQL request: send it as the body, or as one `query` parameter.",
        )),
        (None, false) => in_body(call),
    }
}

fn in_body(call: &CountedCall<'_>) -> Result<u32, Uncountable> {
    let (media_type, text) = media::text(call, &[JSON, GRAPHQL])?;
    if media_type == GRAPHQL {
        return document::mutations(text);
    }
    whole(text, Requests)?
        .iter()
        .try_fold(0_u32, |sum, document| Ok(sum.saturating_add(document::mutations(document)?)))
}

/// The one `query` of an address; `None` where no server finds any.
fn in_address(query: &str) -> Result<Option<String>, Uncountable> {
    let names = address::names(query);
    if let Some(name) = names.iter().find(|name| is_persisted(name)) {
        return Err(Uncountable::new(format!(
            "The parameter {name:?} in the address can name a document that is not shown. Send the document itself only."
        )));
    }
    let once = |wanted: &str| {
        let mut written = address::values(query, wanted);
        let value = written.next();
        let is_clear = written.next().is_none()
            && names.iter().filter(|name| is_near(name, wanted)).count()
                == usize::from(value.is_some());
        let value = value.map(address::text).transpose()?;
        is_clear.then_some(value).ok_or_else(|| {
            Uncountable::new(format!(
                "The address has more than one parameter that can be read as `{wanted}`, or has it in another spelling."
            ))
        })
    };
    if let Some(extensions) = once(EXTENSIONS)?.filter(|text| !text.is_empty()) {
        whole(&extensions, Extensions)?;
    }
    once(QUERY)
}

/// The documents of one JSON request, or of a batch.
struct Requests;

impl<'de> Visitor<'de> for Requests {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a GraphQL request or batch")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut requests: A) -> Result<Vec<String>, A::Error> {
        let mut documents = Vec::new();
        while let Some(document) = requests.next_element_seed(Request)? {
            documents.push(document);
        }
        if documents.is_empty() {
            return Err(A::Error::custom("the batch is empty"));
        }
        Ok(documents)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Vec<String>, A::Error> {
        Ok(vec![Request.visit_map(members)?])
    }
}

impl<'de> DeserializeSeed<'de> for Requests {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The document of one JSON request.
struct Request;

impl<'de> Visitor<'de> for Request {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a GraphQL request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<String, A::Error> {
        let mut document = None;
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                QUERY if document.is_none() => document = Some(members.next_value()?),
                OPERATION_NAME | VARIABLES => {
                    members.next_value::<IgnoredAny>()?;
                }
                EXTENSIONS => members.next_value_seed(Extensions)?,
                other => {
                    check_apart(other, &[QUERY, EXTENSIONS])?;
                    // Any further member could name a document that is not shown.
                    members.next_value::<()>().map_err(|_| {
                        A::Error::custom(format_args!(
                            "besides `query` a request has `operationName`, `variables` and \
                             `extensions`, and not {other:?}"
                        ))
                    })?;
                }
            }
        }
        document.ok_or_else(|| A::Error::custom("there is no `query` text"))
    }
}

impl<'de> DeserializeSeed<'de> for Request {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// Extensions that name no document.
struct Extensions;

impl<'de> Visitor<'de> for Extensions {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`extensions` as an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if is_persisted(&name) {
                return Err(A::Error::custom(format_args!(
                    "the extension {name:?} can name a document that is not shown"
                )));
            }
            check_apart(&name, &[QUERY])?;
            members.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Extensions {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

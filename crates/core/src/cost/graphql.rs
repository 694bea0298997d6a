//! The writes in a GraphQL request: the root fields of its mutations, aliases and batches included.
//!
//! The request may be JSON (one object, or an array of them), the bare document, or a query string.
//! Every mutation in a document counts, whatever `operationName` chooses: an upstream may choose
//! differently.

use std::collections::HashMap;
use std::fmt;

use apollo_parser::cst::{CstNode, Definition, OperationDefinition, Selection, SelectionSet};
use apollo_parser::{Parser, cst};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{CallText, Uncountable};

/// How deep a document may nest, and how many tokens it may have; beyond, it cannot be counted.
const DEPTH_MAX: usize = 100;
const TOKENS_MAX: usize = 50_000;

pub(super) fn mutations(text: CallText<'_>) -> Result<u32, Uncountable> {
    match text {
        CallText::Query(query) => match query_parameter(query)? {
            Some(document) => in_document(&document),
            None => Err(Uncountable::new(
                "A GraphQL request in the address needs one `query` parameter.",
            )),
        },
        CallText::Body(body) => in_body(body),
        CallText::Both { query, body } => {
            let in_query = query_parameter(query)?.map_or(Ok(0), |document| in_document(&document));
            Ok(in_query?.saturating_add(in_body(body)?))
        }
    }
}

fn in_body(body: &[u8]) -> Result<u32, Uncountable> {
    if let Some(b'{' | b'[') = body.trim_ascii_start().first() {
        match serde_json::from_slice(body) {
            Ok(Documents(documents)) => {
                return documents.iter().try_fold(0_u32, |sum, document| {
                    Ok(sum.saturating_add(in_document(document)?))
                });
            }
            Err(error) if error.is_data() => {
                return Err(Uncountable::new(format!("The body cannot be counted: {error}.")));
            }
            // A bare document begins with a brace too.
            Err(_) => {}
        }
    }
    let text = std::str::from_utf8(body).map_err(|_| Uncountable::new("The body is not UTF-8."))?;
    in_document(text)
}

/// The `query` parameter of an address; `None` where there is none.
fn query_parameter(query: &str) -> Result<Option<String>, Uncountable> {
    let mut values = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| percent_decoded(name).is_some_and(|name| name == "query"));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => percent_decoded(value)
            .map(Some)
            .ok_or_else(|| Uncountable::new("The query parameter is not UTF-8.")),
        (Some(_), Some(_)) => Err(Uncountable::new("The `query` parameter is given twice.")),
    }
}

/// The text of a form value: `+` is a blank, `%` escapes are bytes. The grammar has checked the escapes.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The `query` texts of a JSON request, or of a batch of them.
struct Documents(Vec<String>);

impl<'de> Deserialize<'de> for Documents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyRequest)
    }
}

struct AnyRequest;

impl<'de> Visitor<'de> for AnyRequest {
    type Value = Documents;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a GraphQL request or batch")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut requests: A) -> Result<Documents, A::Error> {
        let mut all = Vec::new();
        while let Some(Documents(documents)) = requests.next_element()? {
            all.extend(documents);
        }
        if all.is_empty() {
            Err(A::Error::custom("the batch is empty"))
        } else {
            Ok(Documents(all))
        }
    }

    /// Parsers differ in which of two equal fields they keep, and some, such as Go's, take a field in
    /// whatever case it is written.
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Documents, A::Error> {
        let mut found = None;
        while let Some(name) = fields.next_key::<String>()? {
            if !name.eq_ignore_ascii_case("query") {
                fields.next_value::<IgnoredAny>()?;
            } else if found.replace(fields.next_value::<String>()?).is_some() {
                return Err(A::Error::custom("the field `query` is given twice"));
            }
        }
        let document = found.ok_or_else(|| A::Error::custom("there is no `query` text"))?;
        Ok(Documents(vec![document]))
    }
}

fn in_document(text: &str) -> Result<u32, Uncountable> {
    let parsed = Parser::new(text).recursion_limit(DEPTH_MAX).token_limit(TOKENS_MAX).parse();
    if let Some(error) = parsed.errors().next() {
        return Err(Uncountable::new(format!(
            "The GraphQL document cannot be read: {}.",
            error.message()
        )));
    }
    let document = parsed.document();
    let (mut operations, mut fragments) = (Vec::new(), HashMap::new());
    for definition in document.definitions() {
        match definition {
            Definition::OperationDefinition(operation) => operations.push(operation),
            Definition::FragmentDefinition(fragment) => {
                if let (Some(name), Some(fields)) =
                    (fragment_name(&fragment), fragment.selection_set())
                {
                    fragments.insert(name, fields);
                }
            }
            _ => {
                return Err(Uncountable::new(
                    "The GraphQL document has more than operations and fragments.",
                ));
            }
        }
    }
    if operations.is_empty() {
        return Err(Uncountable::new("The GraphQL document has no operation."));
    }
    operations.iter().filter(|operation| is_mutation(operation)).try_fold(
        0_u32,
        |sum, operation| {
            let fields = operation
                .selection_set()
                .ok_or_else(|| Uncountable::new("A mutation has no fields."))?;
            Ok(sum.saturating_add(root_fields(&fields, &fragments, DEPTH_MAX)?.max(1)))
        },
    )
}

fn is_mutation(operation: &OperationDefinition) -> bool {
    operation.operation_type().is_some_and(|kind| kind.mutation_token().is_some())
}

fn fragment_name(fragment: &cst::FragmentDefinition) -> Option<String> {
    Some(fragment.fragment_name()?.name()?.text().to_string())
}

/// Fragments may name fragments, in a circle too: `depth` ends that.
fn root_fields(
    set: &SelectionSet,
    fragments: &HashMap<String, SelectionSet>,
    depth: usize,
) -> Result<u32, Uncountable> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Uncountable::new("The fragments of the GraphQL document go in a circle."));
    };
    set.selections().try_fold(0_u32, |sum, selection| {
        let count = match selection {
            Selection::Field(_) => 1,
            Selection::InlineFragment(inline) => match inline.selection_set() {
                Some(fields) => root_fields(&fields, fragments, depth)?,
                None => 1,
            },
            Selection::FragmentSpread(spread) => {
                let name = spread.fragment_name().and_then(|name| name.name());
                let fields = name.and_then(|name| fragments.get(name.text().as_str()));
                let fields = fields.ok_or_else(|| {
                    Uncountable::new(format!(
                        "There is no fragment for {}.",
                        spread.syntax().text()
                    ))
                })?;
                root_fields(fields, fragments, depth)?
            }
        };
        Ok(sum.saturating_add(count))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(document: &str) -> Option<u32> {
        let body = serde_json::json!({ "query": document }).to_string();
        mutations(CallText::Body(body.as_bytes())).ok()
    }

    #[test]
    fn queries_read_and_each_root_field_of_a_mutation_writes() {
        assert_eq!(count("{ me { name } }"), Some(0));
        assert_eq!(count("query A { a } query B { b }"), Some(0));
        assert_eq!(count("mutation { a: drop(id: 1) b: drop(id: 2) c: drop(id: 3) }"), Some(3));
        assert_eq!(count("query A { a } mutation B { b { c d } }"), Some(1));
        assert_eq!(count("mutation { ...F ... on M { c } } fragment F on M { a b }"), Some(3));
    }

    #[test]
    fn batches_bare_documents_and_addresses_count_alike() {
        let batch = "[{\"query\": \"mutation { a }\"}, {\"query\": \"{ b }\"}, {\"query\": \"mutation { c d }\"}]";
        assert_eq!(mutations(CallText::Body(batch.as_bytes())), Ok(3));
        assert_eq!(mutations(CallText::Body(b"mutation { a b }")), Ok(2));
        assert_eq!(mutations(CallText::Query("x=1&query=mutation%7Ba%20b%7D")), Ok(2));
        assert_eq!(mutations(CallText::Query("%71uery=mutation+%7Ba%7D")), Ok(1));
    }

    #[test]
    fn an_address_and_a_body_count_together() {
        let both =
            |query, body: &str| mutations(CallText::Both { query, body: body.as_bytes() }).ok();
        let read = "{\"query\": \"{ a }\"}";
        assert_eq!(both("x=1", read), Some(0));
        assert_eq!(both("query=mutation%7Ba%7D", read), Some(1));
        assert_eq!(both("query=%7Ba%7D", "{\"query\": \"mutation { a b }\"}"), Some(2));
        assert_eq!(both("query", read), None);
        assert_eq!(both("query=%7Ba%7D&query=%7Ba%7D", read), None);
    }

    #[test]
    fn a_field_that_two_parsers_read_differently_is_not_counted() {
        for body in [
            "{\"query\": \"mutation { a }\", \"query\": \"{ a }\"}",
            "{\"query\": \"{ a }\", \"Query\": \"mutation { a }\"}",
            "{\"query\": null, \"QUERY\": \"mutation { a }\"}",
        ] {
            assert!(mutations(CallText::Body(body.as_bytes())).is_err(), "{body}");
        }
        assert_eq!(mutations(CallText::Body(b"{\"QUERY\": \"mutation { a }\"}")), Ok(1));
    }

    #[test]
    fn what_cannot_be_read_is_not_counted_as_nothing() {
        for document in [
            "",
            "mutation",
            "{",
            "mutation { ...Missing }",
            "type A { b: C }",
            "fragment F on M { a }",
        ] {
            assert_eq!(count(document), None, "{document}");
        }
        assert_eq!(
            count("mutation { ...A } fragment A on M { ...B } fragment B on M { ...A }"),
            None
        );
        assert!(mutations(CallText::Body(b"{\"id\": \"persisted\"}")).is_err());
        assert!(mutations(CallText::Query("query=a&query=b")).is_err());
        assert!(count(&format!("mutation {}", "{ a ".repeat(5_000))).is_none());
    }

    proptest! {
        #[test]
        fn hostile_documents_never_panic(text in "[a-z{}(): .$!@\"#\\n]{0,80}") {
            let _ = in_document(&text);
        }
    }
}

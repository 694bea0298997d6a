//! What the cost of a call depends on besides its body, kept until the body has come.

use http::Method;

use super::CountedCall;
use crate::request::head::{FieldList, Fields};

/// The fields that say how a body is to be read; counting looks at no others.
const READ_FIELDS: [&str; 2] = ["content-encoding", "content-type"];

/// Method, query and fields of one request, as far as counting its body needs them.
#[derive(Clone, Debug)]
pub struct CountedHead {
    method: Method,
    query: Box<str>,
    fields: Vec<(&'static str, Box<[u8]>)>,
}

impl CountedHead {
    /// Keeps what counting needs. The query is the one that goes on to the upstream; empty where there is
    /// none.
    pub fn new(method: Method, query: &str, fields: Fields<'_>) -> Self {
        let of_name = |name| fields.values(name).map(move |value| (name, value.into()));
        let fields = READ_FIELDS.into_iter().flat_map(of_name).collect();
        Self { method, query: query.into(), fields }
    }

    /// Asks about the call that this head makes with its complete body.
    pub fn with_body<T>(&self, body: &[u8], ask: impl FnOnce(&CountedCall<'_>) -> T) -> T {
        let fields: FieldList<'_> =
            self.fields.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        let Self { method, query, .. } = self;
        ask(&CountedCall { method, fields: Fields(&fields), query, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{BodyCharge, cost_of};
    use crate::policy::operation::{BodyKind, BodyRule};

    #[test]
    fn a_kept_head_counts_as_the_whole_head_does() {
        let rules = [BodyKind::GraphQl, BodyKind::JsonRpc, BodyKind::Items { at: None }];
        let json: (&str, &[u8]) = ("Content-TYPE", b"application/json");
        let coded: (&str, &[u8]) = ("content-Encoding", b"gzip");
        let accept: (&str, &[u8]) = ("Accept", b"text/html");
        let mut costs = Vec::new();
        for kind in rules {
            let rules = vec![BodyRule { kind, cost_max: None }];
            let charge = BodyCharge { rules, cost_min: 1, cost_of_none: 0 };
            for (method, query) in [(Method::GET, ""), (Method::POST, "a=1"), (Method::POST, "")] {
                for fields in [&[json][..], &[accept, json], &[json, json], &[coded, json], &[]] {
                    for body in [&b""[..], b"[1, 2, 3]", br#"{"query":"mutation { a b }"}"#] {
                        let fields = Fields(fields);
                        let whole = CountedCall { method: &method, fields, query, body };
                        let kept = CountedHead::new(method.clone(), query, fields);
                        let cost = kept.with_body(body, |call| cost_of(&charge, call).ok());
                        assert_eq!(cost, cost_of(&charge, &whole).ok(), "{method} {fields:?}");
                        costs.push(cost);
                    }
                }
            }
        }
        assert!(costs.contains(&Some(3)) && costs.contains(&Some(2)) && costs.contains(&None));
    }
}

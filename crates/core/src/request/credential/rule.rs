//! Where the keys of an API are read from.

use std::borrow::Cow;

use http::header::HeaderName;

use crate::keys::text::KeyPrefix;

/// Where the keys of an API are read from, beside `Authorization`, and how they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRule {
    /// The field that may hold the key and nothing else.
    pub header: HeaderName,
    /// That field as people write it.
    pub header_text: Box<str>,
    /// Whether the owner chose the field, so that whatever stands in it is meant as a key. `X-API-Key`,
    /// which is read where nobody chose, is the name that many APIs read their own keys from.
    pub is_header_chosen: bool,
    /// The query parameter that may hold it; `None` reads no query, because queries end up in logs.
    pub query_parameter: Option<Box<str>>,
    /// Where a key is read that comes in two parts; `None` where keys come whole.
    pub pair: Option<PairRule>,
    /// What new keys begin with.
    pub prefix: KeyPrefix,
}

impl Default for CredentialRule {
    fn default() -> Self {
        Self {
            header: HeaderName::from_static("x-api-key"),
            header_text: "X-API-Key".into(),
            is_header_chosen: false,
            query_parameter: None,
            pair: None,
            prefix: KeyPrefix::default(),
        }
    }
}

impl CredentialRule {
    /// Reads keys from a field that the owner chose.
    #[must_use]
    pub fn in_header(self, header: HeaderName, text: &str) -> Self {
        Self { header, header_text: text.into(), is_header_chosen: true, ..self }
    }

    /// What a caller without a key is told.
    pub fn how_to_send(&self) -> Cow<'static, str> {
        if !self.is_header_chosen && self.query_parameter.is_none() && self.pair.is_none() {
            return "An API key is needed. Send it in the X-API-Key header or as a bearer token."
                .into();
        }
        let mut ways =
            vec![format!("in the {} header", self.header_text), "as a bearer token".to_owned()];
        ways.extend(
            self.query_parameter.as_ref().map(|name| format!("in the query parameter {name}")),
        );
        ways.extend(self.pair.as_ref().map(|pair| match pair {
            PairRule::Query { id, secret } => {
                format!("as the query parameters {id} and {secret} together")
            }
            PairRule::Headers { id, secret } => {
                format!("in the headers {id} and {secret} together")
            }
        }));
        let last = ways.pop().unwrap_or_default();
        let (ways, comma) = (ways.join(", "), if ways.len() > 1 { "," } else { "" });
        format!("An API key is needed. Send it {ways}{comma} or {last}.").into()
    }
}

/// Where a key is read that comes in two parts: whose it is, and what only they know.
///
/// Its text is both with a colon between them, which is also what Basic authentication carries (RFC 7617). So it is
/// read there as well, where the owner chose `Authorization` for keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairRule {
    /// Two parameters of the query.
    Query {
        /// The one that says whose the key is.
        id: Box<str>,
        /// The one with the secret.
        secret: Box<str>,
    },
    /// Two fields.
    Headers {
        /// The one that says whose the key is.
        id: HeaderName,
        /// The one with the secret.
        secret: HeaderName,
    },
}

impl PairRule {
    /// The parameters of the query that hold the parts.
    pub(super) fn parameters(&self) -> Option<[&str; 2]> {
        match self {
            Self::Query { id, secret } => Some([id, secret]),
            Self::Headers { .. } => None,
        }
    }

    /// The fields that hold them.
    pub(super) fn fields(&self) -> Option<[&HeaderName; 2]> {
        match self {
            Self::Query { .. } => None,
            Self::Headers { id, secret } => Some([id, secret]),
        }
    }
}

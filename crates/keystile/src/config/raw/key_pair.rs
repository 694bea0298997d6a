//! Keys in two parts as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::value::Spanned;

/// The places of a key in two parts. Each may stand once, and one without the other is no key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct KeyPair {
    /// The parameter or field that says whose the key is.
    #[schemars(required, extend("examples" = ["app_id"]))]
    pub(crate) id: Option<Spanned<String>>,
    /// The one with the secret.
    #[schemars(required, extend("examples" = ["app_key"]))]
    pub(crate) secret: Option<Spanned<String>>,
    /// Whether they are parameters of the query or header fields. URLs end up in logs, and a secret in a URL ends up
    /// there with it.
    #[serde(rename = "in")]
    #[schemars(extend("default" = "query"))]
    pub(crate) place: Option<Spanned<PairPlace>>,
}

/// Where the parts of a key are.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PairPlace {
    /// Parameters of the query.
    Query,
    /// Header fields, whose names have no `_`.
    Header,
}

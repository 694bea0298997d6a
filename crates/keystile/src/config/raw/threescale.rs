//! 3scale's backend as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::value::{OneOrMany, Spanned};

/// 3scale's backend, served by Keystile in its place: the Service Management API for gateways and clients, and the
/// internal API for the portal. Accounts come in through the internal API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct ThreescaleBackend {
    /// The one address to listen on. Provider keys and service tokens come in the clear, so an address that
    /// other machines can reach needs `behind_proxy`.
    #[schemars(extend("default" = "127.0.0.1:7090"))]
    pub(crate) listen: Option<Spanned<String>>,
    /// States that only a trusted network or a proxy with TLS can reach this address.
    #[schemars(extend("default" = false))]
    pub(crate) behind_proxy: Option<Spanned<bool>>,
    /// Who may use the internal API, which changes services and applications. Without it, nobody.
    pub(crate) internal: Option<Spanned<InternalUser>>,
    /// The API that applications of the backend write to, by its name here. Their writes then count in the
    /// budgets of their keys' plans, stand in the journal, and lock. Each is the operation `POST` and the
    /// metric's name, below the API's path.
    #[schemars(extend("examples" = ["bookmarks"]))]
    pub(crate) api: Option<Spanned<String>>,
    /// The metrics that are writes, by their system names. Needs `api`.
    #[schemars(extend("default" = [], "examples" = [["post", "put", "delete"]]))]
    pub(crate) writes: Option<OneOrMany<String>>,
    /// Threads that serve calls, from 1 to 64.
    #[schemars(extend("default" = 1))]
    pub(crate) threads: Option<Spanned<i64>>,
}

/// Who may use the internal API, by HTTP Basic.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct InternalUser {
    /// The name.
    #[schemars(required, extend("examples" = ["internal"]))]
    pub(crate) user: Option<Spanned<String>>,
    /// A file that holds the password, at least 16 characters.
    #[schemars(required, extend("examples" = ["internal-password"]))]
    pub(crate) password_file: Option<Spanned<String>>,
}

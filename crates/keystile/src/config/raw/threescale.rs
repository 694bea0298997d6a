//! 3scale's backend as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::raw::tls::Tls;
use crate::config::value::{OneOrMany, Spanned};

/// 3scale's backend, served by Keystile in its place: the Service Management API for gateways and clients, and the
/// internal API for the portal. Accounts come in through the internal API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct ThreescaleBackend {
    /// The one address to listen on. Provider keys and service tokens would come in the clear, so an address that
    /// other machines can reach needs `tls` or `behind_proxy`.
    #[schemars(extend("default" = "127.0.0.1:7090"))]
    pub(crate) listen: Option<Spanned<String>>,
    /// Certificate and key for HTTPS.
    pub(crate) tls: Option<Spanned<Tls>>,
    /// States that only a trusted network or a proxy with TLS can reach this address.
    #[schemars(extend("default" = false))]
    pub(crate) behind_proxy: Option<Spanned<bool>>,
    /// Who may use the internal API, which changes services and applications. Without it, nobody.
    pub(crate) internal: Option<Spanned<InternalUser>>,
    /// Which gateways may read their configurations here, as 3scale's do from its portal. Without it, none.
    pub(crate) gateways: Option<Spanned<Gateways>>,
    /// The API that applications of the backend write to, by its name here. Their writes then count in the
    /// budgets of their keys' plans, stand in the journal, and lock. Each is the operation `POST` and the
    /// metric's name, below the API's path.
    #[schemars(extend("examples" = ["bookmarks"]))]
    pub(crate) api: Option<Spanned<String>>,
    /// The metrics that are writes, by their system names; a metric below one of them is a write as well. Needs
    /// `api`. `authrep` counts them; what is reported afterwards counts in no write budget.
    #[schemars(extend("default" = [], "examples" = [["post", "put", "delete"]]))]
    pub(crate) writes: Option<OneOrMany<String>>,
    /// Which plan here each application plan of the account stands for, by their names. The applications on these
    /// plans are applications of Keystile as well, with their keys: owners see and lock them like any other.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>", extend("default" = {}, "examples" = [{"Basic": "open", "Partner": "trusted"}]))]
    pub(crate) plans: BTreeMap<Spanned<String>, Spanned<String>>,
    /// The plan of applications whose plan is not named in `plans`. Without it, only the backend knows them.
    #[schemars(extend("examples" = ["open"]))]
    pub(crate) default_plan: Option<Spanned<String>>,
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
    /// Whether callers on other machines may use it. Without it only those on this one may, and whoever comes
    /// through a proxy on it.
    #[schemars(extend("default" = false))]
    pub(crate) remote: Option<Spanned<bool>>,
}

/// What gateways show, and what they are told of this backend.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Gateways {
    /// A file that holds the access token, at least 16 characters, with which a gateway reads its configuration.
    #[schemars(required, extend("examples" = ["gateway-token"]))]
    pub(crate) token_file: Option<Spanned<String>>,
    /// A file that holds the service token, at least 16 characters, which configurations have gateways show to
    /// this backend. It is good for every service.
    #[schemars(required, extend("examples" = ["gateway-service-token"]))]
    pub(crate) service_token_file: Option<Spanned<String>>,
    /// Where gateways reach this backend. Without it, at the address where they ask for their configuration, over
    /// HTTPS where there is `tls`.
    #[schemars(extend("examples" = ["https://backend.example.org"]))]
    pub(crate) url: Option<Spanned<String>>,
}

//! Accounts of 3scale as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::value::{NumberOrText, Spanned};

/// An account of 3scale that stays in charge of keys and plans, while Keystile stands in front.
///
/// The applications of one service are brought over with their keys as they are, and kept in step. Services
/// whose applications go by user keys can be driven, and those that go by `app_id` and `app_key`, which are
/// one key here: see `key_pair` of the API. Changes of this table take effect with a reload.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(crate) struct Threescale {
    /// The address of the admin portal, without a path. It is `https`, but for this machine. Required.
    #[schemars(required, extend("examples" = ["https://acme-admin.3scale.net"]))]
    pub(crate) portal: Option<Spanned<String>>,
    /// The file with the access token. It needs the scope `account_management`, and "Read & Write" for locks
    /// to be followed. It is read for each call, so it can be replaced at any time. This or
    /// `access_token_env` is required.
    #[schemars(extend("examples" = ["/run/secrets/3scale"]))]
    pub(crate) access_token_file: Option<Spanned<String>>,
    /// The environment variable with the access token.
    #[schemars(extend("examples" = ["THREESCALE_TOKEN"]))]
    pub(crate) access_token_env: Option<Spanned<String>>,
    /// A PEM file with certificates to trust for the portal, besides those of the system.
    #[schemars(extend("examples" = ["internal-ca.pem"]))]
    pub(crate) ca_file: Option<Spanned<String>>,
    /// The number of the service, which the portal calls a product. Required.
    #[schemars(required, extend("examples" = [2_555_417]))]
    pub(crate) service: Option<Spanned<NumberOrText>>,
    /// Which plan here each application plan there stands for, by their names.
    #[schemars(with = "BTreeMap<String, String>", extend("default" = {}, "examples" = [{"Basic": "open", "Partner": "trusted"}]))]
    pub(crate) plans: BTreeMap<Spanned<String>, Spanned<String>>,
    /// The plan of applications whose plan there is not named in `plans`. Without it, they stay there.
    #[schemars(extend("examples" = ["open"]))]
    pub(crate) default_plan: Option<Spanned<String>>,
    /// What a lock of a key here asks for there. `suspend`: its application is suspended, and resumed when none
    /// of its keys is locked any more. `change_plan:NAME`: it is put on the application plan of that name there,
    /// and then back on the one before; here its plan stays. `none`: nothing. 3scale's own gateways may go on for
    /// up to a minute.
    #[schemars(with = "String", extend("default" = "suspend", "examples" = ["change_plan:Read only"]))]
    pub(crate) on_lock: Option<Spanned<String>>,
    /// The file with a secret that ends the address to which the portal sends its webhooks: then what changes
    /// there is known here within seconds. It has 20 to 128 letters, digits, `-` and `_`, as `openssl rand -hex 32`
    /// prints them; `keystile threescale check` says the address. It is read for each webhook, so it can be
    /// replaced at any time.
    #[schemars(extend("examples" = ["/run/secrets/3scale-webhook"]))]
    pub(crate) webhook_secret_file: Option<Spanned<String>>,
    /// The environment variable with that secret.
    #[schemars(extend("examples" = ["THREESCALE_WEBHOOK"]))]
    pub(crate) webhook_secret_env: Option<Spanned<String>>,
    /// How often the portal is read for what changed there, from 10 seconds to 1 day.
    #[schemars(extend("default" = "5 min"))]
    pub(crate) refresh: Option<Spanned<String>>,
    /// How long keys that came over work after the portal was last read, where it cannot be read any more: nobody
    /// would hear of it if they were revoked there. Up to 1 year.
    #[schemars(extend("default" = "1 day"))]
    pub(crate) keep_known: Option<Spanned<String>>,
    /// How many keys that are unknown here the portal is asked about in any second; none where 0. A key that was
    /// issued there a moment ago then works with its first call. Callers beyond that are told to come again.
    #[schemars(extend("default" = 10))]
    pub(crate) look_ups: Option<Spanned<i64>>,
    /// How long a key that the portal does not know is refused without asking again, up to 1 day.
    #[schemars(extend("default" = "1 min"))]
    pub(crate) unknown_for: Option<Spanned<String>>,
    /// The address of the backend that is told what the applications use here, without a path. It is `https`, but
    /// for this machine. Needs `usage`.
    #[schemars(extend("examples" = ["https://su1.3scale.net"]))]
    pub(crate) backend: Option<Spanned<String>>,
    /// The file with the service token, with which usage is reported. It is read for each report. This or
    /// `service_token_env` is required with `backend`.
    #[schemars(extend("examples" = ["/run/secrets/3scale-service"]))]
    pub(crate) service_token_file: Option<Spanned<String>>,
    /// The environment variable with the service token.
    #[schemars(extend("examples" = ["THREESCALE_SERVICE_TOKEN"]))]
    pub(crate) service_token_env: Option<Spanned<String>>,
    /// Which metric or method there calls count as, by their system names: of `reads`, of `writes`, and of calls with
    /// a method, as `DELETE`, which then do not count as the others. Calls that stand for nothing are not reported.
    #[schemars(with = "BTreeMap<String, String>", extend("default" = {}, "examples" = [{"reads": "hits", "writes": "writes", "DELETE": "deletions"}]))]
    pub(crate) usage: BTreeMap<Spanned<String>, Spanned<String>>,
}

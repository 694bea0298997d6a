//! Who may read what gateways are told: whoever shows the one token.

use std::fmt;

use http::HeaderMap;

use crate::account::Account;
use crate::account::record::SecretHash;
use crate::backend::params::Params;
use crate::server::internal::access::credentials;

/// How gateways are served.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewaySettings {
    /// What a gateway shows to read its configuration.
    pub token: String,
    /// What its configuration has it show to this backend, for any service.
    pub service_token: String,
    /// Where gateways reach this backend, as in `https://backend.example.org`; as they reach it to ask for their
    /// configuration where `None`.
    pub backend: Option<String>,
}

impl fmt::Debug for GatewaySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewaySettings").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// The one who may.
///
/// Tokens are compared as hashes under a secret, so how long that takes tells nothing of them.
#[derive(Clone)]
pub(crate) struct Access {
    token: SecretHash,
    pub(super) service_token: String,
    pub(super) backend: Option<String>,
    /// `https` where the listener speaks TLS.
    pub(super) scheme: &'static str,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("backend", &self.backend).finish_non_exhaustive()
    }
}

impl Access {
    /// For a listener that speaks TLS, or does not.
    pub(crate) fn new(account: &Account, settings: &GatewaySettings, scheme: &'static str) -> Self {
        let GatewaySettings { token, service_token, backend } = settings.clone();
        Self { token: account.provider_secret(&token), service_token, backend, scheme }
    }

    /// Whether a request is from a gateway. As in the portal a parameter wins, and of HTTP Basic the first half
    /// that is not blank counts.
    pub(super) fn permits(
        &self,
        account: &Account,
        headers: &HeaderMap,
        params: &Params<'_>,
    ) -> bool {
        let shown = params.text("access_token").map(str::to_owned).or_else(|| basic(headers));
        shown.is_some_and(|text| account.provider_secret(&text) == self.token)
    }
}

/// The first half of HTTP Basic that is not blank.
fn basic(headers: &HeaderMap) -> Option<String> {
    let shown = credentials(headers)?;
    let (user, password) = shown.split_once(':')?;
    [user, password].into_iter().find(|half| !half.trim().is_empty()).map(str::to_owned)
}

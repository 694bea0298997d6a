//! Who may use the internal API: HTTP Basic, with one name and one password.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use keystile_core::owners::principal::Principal;

use crate::account::record::SecretHash;
use crate::account::{Account, portal_principal};

/// The one who may.
///
/// Names and passwords are compared as hashes under a secret, so how long that takes tells nothing of them.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    secret: SecretHash,
    principal: Principal,
}

impl Access {
    /// For a name without a colon, and a password.
    pub(crate) fn new(account: &Account, user: &str, password: &str) -> Self {
        let secret = account.provider_secret(&format!("{user}:{password}"));
        Self { secret, principal: portal_principal(user) }
    }

    /// Who the audit says it was.
    pub(super) const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether a request is from the one who may.
    pub(super) fn permits(&self, account: &Account, headers: &HeaderMap) -> bool {
        credentials(headers).is_some_and(|text| account.provider_secret(&text) == self.secret)
    }
}

/// What stands behind `Basic`: the name, a colon, the password.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()
}

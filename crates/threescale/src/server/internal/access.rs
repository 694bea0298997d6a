//! Who may use the internal API: HTTP Basic, with one name and one password.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::account::Account;
use crate::account::record::SecretHash;

/// The one who may.
///
/// Names and passwords are compared as hashes under a secret, so how long that takes tells nothing of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access(SecretHash);

impl Access {
    /// For a name without a colon, and a password.
    pub(crate) fn new(account: &Account, user: &str, password: &str) -> Self {
        Self(account.provider_secret(&format!("{user}:{password}")))
    }

    /// Whether a request is from the one who may.
    pub(super) fn permits(&self, account: &Account, headers: &HeaderMap) -> bool {
        credentials(headers).is_some_and(|text| account.provider_secret(&text) == self.0)
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

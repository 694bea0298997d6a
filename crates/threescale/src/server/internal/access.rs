//! Who may use the internal API: HTTP Basic, with one name and one password.

use std::net::IpAddr;

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
    is_remote: bool,
}

impl Access {
    /// For a name without a colon, and a password; `is_remote` says whether also from other machines.
    pub(crate) fn new(account: &Account, (user, password): (&str, &str), is_remote: bool) -> Self {
        let secret = account.provider_secret(&format!("{user}:{password}"));
        Self { secret, principal: portal_principal(user), is_remote }
    }

    /// Whether a caller from an address is heard at all.
    pub(super) fn hears(&self, address: IpAddr) -> bool {
        hears(self.is_remote, address)
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

fn hears(is_remote: bool, address: IpAddr) -> bool {
    is_remote || address.to_canonical().is_loopback()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_heard_only_where_it_is_said() {
        for (address, is_here) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.7", false),
            ("::ffff:10.0.0.7", false),
            ("fe80::1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!((hears(false, address), hears(true, address)), (is_here, true), "{address}");
        }
    }
}

//! The name of the cookie that holds an owner's session.

use keystile_core::keys::hash::Pepper;

use crate::settings::WebSettings;

/// What the cookie of a console is called. Cookies do not tell ports apart, so that of each console on one
/// machine has a name of its own: it follows from the store's secret, and from the port, which tells a
/// copy of the store from the store. Over TLS the prefix makes browsers refuse a cookie that another host
/// or an unencrypted page set.
pub(crate) fn cookie_name(settings: &WebSettings, pepper: &Pepper) -> String {
    let prefix = if settings.is_secure { "__Host-" } else { "" };
    let port = settings.listen.port().to_string();
    let hash = pepper.derived("keystile session cookie").hash(port.as_bytes());
    let suffix: String = hash.as_bytes().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}keystile-{suffix}")
}

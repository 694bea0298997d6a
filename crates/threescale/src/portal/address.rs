//! Where the portal is.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The address of an admin portal: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalAddress {
    url: Url,
}

/// Why a text is no address of a portal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Not a URL with a host.
    #[error("it is no URL; write it as https://acme-admin.3scale.net")]
    NotUrl,
    /// Anybody on the way could read the token.
    #[error("{0} would be spoken to without encryption, which shows the access token: use https")]
    Plain(String),
    /// The text is not repeated, since it holds a secret.
    #[error("it holds a user name or password; the access token belongs into a file of its own")]
    Credentials,
    /// The paths of the API are added to it.
    #[error("it has a path or query; write the address of the admin portal only: {0}")]
    Path(String),
}

impl PortalAddress {
    /// The host without the brackets of an IPv6 address, as it is looked up and as a certificate has it.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    pub(super) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    /// The host and the port as a `Host` field has them.
    pub(crate) fn authority(&self) -> &str {
        &self.url[url::Position::BeforeHost..url::Position::AfterPort]
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }
}

impl FromStr for PortalAddress {
    type Err = AddressFault;

    fn from_str(text: &str) -> Result<Self, AddressFault> {
        let url = Url::parse(text.trim()).map_err(|_| AddressFault::NotUrl)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(AddressFault::NotUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(AddressFault::NotUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressFault::Credentials);
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(AddressFault::Plain(host.to_owned()));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(AddressFault::Path(url.origin().ascii_serialization()));
        }
        Ok(Self { url })
    }
}

impl fmt::Display for PortalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, AddressFault> {
        text.parse().map(|address: PortalAddress| address.to_string())
    }

    #[test]
    fn an_address_is_an_encrypted_host_or_this_machine() {
        for (text, shown) in [
            ("https://acme-admin.3scale.net", "https://acme-admin.3scale.net"),
            (" https://Acme-Admin.3scale.net:443/ ", "https://acme-admin.3scale.net"),
            ("https://portal.internal:8443", "https://portal.internal:8443"),
            ("https://10.0.0.7", "https://10.0.0.7"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            assert_eq!(parsed(text).unwrap(), shown, "{text}");
        }
        for text in ["", "acme-admin.3scale.net", "ftp://acme-admin.3scale.net", "https://"] {
            assert_eq!(parsed(text), Err(AddressFault::NotUrl), "{text}");
        }
        for host in ["acme-admin.3scale.net", "10.0.0.7", "localhost.example"] {
            let plain = AddressFault::Plain(host.to_owned());
            assert_eq!(parsed(&format!("http://{host}")), Err(plain));
        }
        for rest in ["/admin/api", "/p/login", "/?access_token=TOPSECRET", "/#a"] {
            let fault = parsed(&format!("https://acme-admin.3scale.net{rest}")).unwrap_err();
            assert_eq!(fault, AddressFault::Path("https://acme-admin.3scale.net".to_owned()));
        }
    }

    #[test]
    fn a_token_in_an_address_is_refused_and_not_repeated() {
        let texts = ["https://TOPSECRET@acme-admin.3scale.net", "https://a:TOPSECRET@acme.net"];
        for text in texts {
            let fault = parsed(text).unwrap_err();
            assert_eq!(fault, AddressFault::Credentials);
            assert!(!format!("{fault} {fault:?}").contains("TOPSECRET"));
        }
    }
}

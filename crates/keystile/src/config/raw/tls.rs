//! What a listener needs for TLS, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::value::Spanned;

/// Files of a TLS server, PEM. They are read again when they change, without a restart.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Tls {
    /// The certificate chain, the server's own certificate first.
    #[schemars(required, extend("examples" = ["cert.pem"]))]
    pub(crate) certificate: Option<Spanned<String>>,
    /// The private key of the first certificate.
    #[schemars(required, extend("examples" = ["key.pem"]))]
    pub(crate) key: Option<Spanned<String>>,
}

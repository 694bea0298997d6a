//! What an owner says about the portal.

use std::path::PathBuf;
use std::time::Duration;

use keystile_core::notifications::channel::SecretSource;

use super::address::PortalAddress;

/// How to reach a portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalSettings {
    /// Where it is.
    pub address: PortalAddress,
    /// Where its access token is. It is read for each call.
    pub token: SecretSource,
    /// Certificates in PEM to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take, with its encryption, for each address of the host.
    pub connect_timeout: Duration,
    /// How long a call may take in all.
    pub total_timeout: Duration,
}

impl PortalSettings {
    /// A portal with a certificate that the system trusts: five seconds for a connection, thirty for a call.
    pub fn new(address: PortalAddress, token: SecretSource) -> Self {
        Self {
            address,
            token,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(30),
        }
    }
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The certificates to trust cannot be read.
    #[error("the certificates in {path} cannot be used: {fault}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
}

//! How the console is reached, and by whom.

/// Who may read what machines ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Whoever reaches the console's address.
    #[default]
    Open,
    /// Whoever shows a token of the admin API.
    Token,
    /// Nobody: there is no such page.
    Off,
}

/// How the console is reached.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Its address as the owner's browser knows it, as in `https://console.example.org`; the address that
    /// it listens on where `None`.
    pub url: Option<String>,
    /// Where it listens.
    pub listen: std::net::SocketAddr,
    /// Whether browsers reach it over TLS, its own or a proxy's.
    pub is_secure: bool,
    /// Whether a proxy stands in front; passkeys then need a `url`.
    pub behind_proxy: bool,
    /// Who may read `/healthz` and `/readyz`.
    pub health: Access,
    /// Who may read `/metrics`.
    pub metrics: Access,
    /// The public key by which push services know this server, in base64url.
    pub push_key: String,
    /// The configuration file that the policy page shows; `None` for a server without one.
    pub file: Option<std::path::PathBuf>,
}

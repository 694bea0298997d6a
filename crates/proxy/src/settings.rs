//! What the gate needs to know besides the policy: where it listens, and its deadlines and caps.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use http::Method;
use keystile_core::budget::Quota;
use keystile_core::request::address::AddressRange;
use keystile_core::time::Span;

/// Where the gate listens, and how it treats its callers' connections.
#[derive(Clone, Debug)]
pub struct GateSettings {
    /// Addresses to listen on; never empty.
    pub listen: Vec<SocketAddr>,
    /// Certificate and key, PEM; plain HTTP where `None`. Read again when the files change.
    pub tls: Option<TlsFiles>,
    /// Threads that serve requests; as many as the machine has cores where `None`.
    pub workers: Option<NonZeroUsize>,
    /// Methods that pass besides the usual eight; each of them writes.
    pub methods: Vec<Method>,
    /// Peers whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<AddressRange>,
    /// From the first byte of a head until its last.
    pub head_timeout: Span,
    /// How long a connection may be idle between requests, or a body between bytes.
    pub idle_timeout: Span,
    /// Bytes a second that a request body must bring on average, after ten seconds.
    pub body_rate_min: u32,
    /// How long requests under way may take to finish after SIGTERM.
    pub drain_timeout: Span,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time from one address (an IPv6 /64).
    pub connections_per_address: usize,
    /// Bytes that are held in memory at a time for callers: a third for answers that they do not take, a
    /// third for bodies that are counted, and a third for requests over HTTP/2 that are under way.
    pub buffers_max: usize,
    /// How many requests with an unknown key one address may make before it has to wait.
    pub key_failures: Quota,
}

/// Files of a TLS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

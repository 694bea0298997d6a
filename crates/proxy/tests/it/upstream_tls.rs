//! upstream_tls

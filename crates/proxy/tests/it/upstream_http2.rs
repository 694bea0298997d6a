//! upstream_http2

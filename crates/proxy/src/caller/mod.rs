//! The caller's side: sockets, connections, and the bytes that come in on them.

pub(crate) mod caller_body;
pub(crate) mod coalescing;
pub(crate) mod connection;
pub(crate) mod connection_limiter;
pub(crate) mod linger;
pub(crate) mod listen;
pub(crate) mod malformed;
pub(crate) mod scan;
pub(crate) mod stream_limit;

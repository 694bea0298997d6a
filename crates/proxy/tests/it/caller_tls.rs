//! caller_tls

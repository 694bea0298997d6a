//! http2_faults

//! The protocol of 3scale's Service Management API, pure: what a gateway asks, and what it is told.

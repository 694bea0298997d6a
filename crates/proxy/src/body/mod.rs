//! Bodies on their way through the gate.

pub(crate) mod answer;
pub(crate) mod request;
pub(crate) mod whole;

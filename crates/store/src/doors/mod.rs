//! What doors keep in the store in words of their own: what they count, and what they know.

pub mod documents;
pub mod meters;
pub mod source_change;

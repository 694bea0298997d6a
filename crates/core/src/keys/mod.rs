//! Applications and their keys: what they are known by, and what stops them.

pub mod application;
pub mod hash;
pub mod imported;
pub mod key;
pub mod lock;
pub mod signing;
pub mod text;

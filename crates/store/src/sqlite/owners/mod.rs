//! Owners and programs: what they sign in with.

pub(crate) mod claim;
pub(crate) mod owner;
pub(crate) mod passkey;
pub(crate) mod password;
pub(crate) mod recovery;
pub(crate) mod session;
pub(crate) mod token;

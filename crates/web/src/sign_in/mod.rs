//! Signing in, confirming one's identity, recovering, and becoming an owner by a claim link: a file for each
//! ceremony.

mod claim;
mod confirm;
pub(crate) mod cookie;
mod page;
mod passkey;
mod password;
pub(crate) mod password_hash;
pub(crate) mod recover;
mod script;
pub(crate) mod session;
pub(crate) mod webauthn;

pub(crate) use claim::{begin_claim, claim, claim_with_passkey, claim_with_password};
pub(crate) use confirm::{prove, prove_with_passkey, prove_with_password};
pub(crate) use page::{sign_in, sign_out};
pub(crate) use passkey::{add_passkey, begin_adding, begin_passkey, with_passkey};
pub(crate) use password::with_password;
pub(crate) use recover::with_recovery_code;

//! Passkeys, with which owners sign in.

use crate::id::id;

id!(PasskeyId, "passkey_", "a passkey");

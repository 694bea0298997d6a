//! Tokens, with which programs use the admin API.

use crate::id::id;

id!(TokenId, "token_", "a token");

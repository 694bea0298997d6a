//! Owners, who run the server and its APIs.

use crate::id::id;

id!(OwnerId, "owner_", "an owner");

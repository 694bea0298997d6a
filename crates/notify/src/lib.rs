//! Messages to the owner: what they say, and how each kind of channel shows them.

pub mod message;
#[cfg_attr(not(test), expect(dead_code, reason = "what sends them comes next"))]
mod render;

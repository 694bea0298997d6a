//! What is looked at outside of the store: whether channels can send, and whether upstreams can be reached.
//!
//! The program says how, because protocols and secrets are its affair.

use keystile_core::notifications::channel::ChannelRule;
use keystile_core::policy::Policy;

/// How it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// Why a channel cannot send as it is set up. Reads its secrets; sends and connects to nothing.
    pub channel: fn(&ChannelRule) -> Option<String>,
    /// Where no upstream answers. Blocks, for some seconds at most.
    pub upstreams: fn(&Policy) -> Vec<UnreachableUpstream>,
}

/// An upstream to which no connection could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreachableUpstream {
    /// The API.
    pub api: String,
    /// The origin.
    pub origin: String,
    /// Why.
    pub fault: String,
}

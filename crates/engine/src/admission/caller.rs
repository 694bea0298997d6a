//! Where a request came from: the peer, and what proxies that are trusted say of its caller.

use std::net::IpAddr;

use keystile_core::request::address::{AddressRange, forwarded_for, forwarded_scheme};
use keystile_core::request::grammar::GrammarRules;
use keystile_core::request::head::Fields;

/// What a connection is protected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Nothing.
    Plain,
    /// TLS.
    Tls,
}

impl Transport {
    /// The scheme of a request over it.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }
}

/// What a door accepts, and whom it believes; the same for all its requests.
#[derive(Clone, Debug, Default)]
pub struct DoorRules {
    /// What its owner widened in the grammar.
    pub grammar: GrammarRules,
    /// Peers that are believed when they name another address or scheme.
    pub trusted_proxies: Vec<AddressRange>,
}

impl DoorRules {
    /// Whether a peer is a proxy that is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|range| range.contains(peer))
    }
}

/// The other end of the connection that a request came over.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Its address.
    pub peer: IpAddr,
    /// How it is connected.
    pub transport: Transport,
    /// The rules of the door that it came to.
    pub rules: &'a DoorRules,
}

impl Caller<'_> {
    /// The address that the request came from; a trusted proxy says what that was.
    pub fn address(&self, fields: Fields<'_>) -> IpAddr {
        forwarded_for(fields, self.peer, &self.rules.trusted_proxies)
    }

    /// The scheme that the request was sent with; a trusted proxy says what that was.
    pub fn scheme(&self, fields: Fields<'_>) -> &'static str {
        let own = self.transport.scheme();
        if !self.rules.trusts(self.peer) {
            return own;
        }
        forwarded_scheme(fields, self.peer, &self.rules.trusted_proxies).unwrap_or(own)
    }

    /// Scheme and authority that the request was sent to.
    pub(super) fn base(&self, fields: Fields<'_>, authority: Option<&str>) -> String {
        authority
            .map_or_else(String::new, |authority| format!("{}://{authority}", self.scheme(fields)))
    }
}

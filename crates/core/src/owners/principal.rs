//! Who asks for something, and what they may do.
//!
//! A [`Principal`] is not an [`Actor`]: the one says what somebody may do, the other is whom the audit
//! names. Every principal has an actor; some actors, such as a budget that locks a key, ask for nothing.

use crate::actor::Actor;
use crate::owners::owner::OwnerId;
use crate::owners::scope::Scope;

/// Somebody who asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An owner who is signed in at the console.
    Owner {
        /// Their id.
        id: OwnerId,
        /// Their name.
        name: String,
    },
    /// A program that shows a token of the admin API.
    Token {
        /// The token's name.
        name: String,
        /// What the token may do.
        scope: Scope,
    },
    /// Somebody at the command line, who may read the data directory and so may do everything.
    CommandLine {
        /// Their account on that machine, with its number.
        account: String,
    },
    /// Whoever follows a signed link in a message. The link itself says what it does.
    Link {
        /// Which link it is, for the audit.
        name: String,
    },
    /// A system that issues keys and stays in charge of them.
    KeySource {
        /// Which one.
        name: String,
    },
    /// The system that the server runs on.
    System,
}

impl Principal {
    /// Whether somebody may do what needs a scope.
    pub fn allows(&self, needed: Scope) -> bool {
        match self {
            Self::Owner { .. } | Self::CommandLine { .. } | Self::System => true,
            Self::Token { scope, .. } => scope.allows(needed),
            Self::Link { .. } | Self::KeySource { .. } => Scope::Write.allows(needed),
        }
    }

    /// Whom the audit names.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Owner { name, .. } => Actor::Owner(name.clone()),
            Self::Token { name, .. } => Actor::Token(name.clone()),
            Self::CommandLine { account } => Actor::CommandLine(account.clone()),
            Self::Link { name } => Actor::Link(name.clone()),
            Self::KeySource { name } => Actor::KeySource(name.clone()),
            Self::System => Actor::System,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_do_what_its_scope_says_and_neither_link_nor_key_source_administers() {
        for (scope, needed) in
            Scope::ALL.iter().flat_map(|a| Scope::ALL.iter().map(move |b| (*a, *b)))
        {
            let token = Principal::Token { name: "ci".to_owned(), scope };
            assert_eq!(token.allows(needed), scope.allows(needed));
        }
        let link = Principal::Link { name: "mail".to_owned() };
        let source = Principal::KeySource { name: "elsewhere".to_owned() };
        for bounded in [link, source] {
            assert!(bounded.allows(Scope::Write) && !bounded.allows(Scope::Admin));
        }
    }
}

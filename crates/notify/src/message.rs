//! What an owner is told, before any channel gives it a form.

use std::fmt;

use keystile_core::journal::Outcome;
use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A message before any channel's form.
///
/// Its texts may come from strangers as they are: `render` makes them safe to show. Nothing
/// here may hold a secret other than the links, which is why those do not print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The same for all attempts of one delivery, as in `msg_<uuid>`. Message-ID and webhook-id are
    /// made of it, so that a receiver recognizes a repeat.
    pub id: String,
    /// What the message is about, as in `key_<id>`; messages about the same share a thread.
    pub thread: String,
    /// What kind of event it tells of.
    pub kind: MessageKind,
    /// The first words of the subject, as in `LOCKED` or `12 WRITES`.
    pub state: String,
    /// The application, where there is one.
    pub who: Option<String>,
    /// What happened in a few words, as in `21st of 20 writes in a day (DELETE /bookmarks/41)`.
    pub what: String,
    /// The same as one sentence.
    pub sentence: String,
    /// Names and values, in the order in which they are shown.
    pub facts: Vec<(String, String)>,
    /// The last few writes, latest first.
    pub writes: Vec<WriteLine>,
    /// Where a click leads.
    pub links: Vec<Link>,
    /// When it happened.
    pub time: Timestamp,
    /// How much it may disturb.
    pub urgency: Urgency,
    /// Where a digest is ended with one click.
    pub unsubscribe: Option<String>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("thread", &self.thread)
            .field("kind", &self.kind)
            .field("state", &self.state)
            .field("who", &self.who)
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

/// What kind of event a message tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A message that an owner asked for, to see whether a channel works.
    Test,
    /// One write.
    WriteHappened,
    /// Several writes as one message.
    Writes,
    /// The first write of a key.
    FirstWriteOfKey,
    /// The first write of an operation.
    FirstWriteOfOperation,
    /// A budget is used up to a level.
    BudgetLevel,
    /// A write whose outcome nobody knows.
    WriteUnknown,
    /// Many refused attempts.
    RefusedStorm,
    /// A key was unlocked.
    KeyUnlocked,
    /// A key was locked.
    KeyLocked,
    /// A channel did not take its messages.
    DeliveryFailed,
    /// The store cannot commit.
    StoreTrouble,
}

impl MessageKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Test,
        Self::WriteHappened,
        Self::Writes,
        Self::FirstWriteOfKey,
        Self::FirstWriteOfOperation,
        Self::BudgetLevel,
        Self::WriteUnknown,
        Self::RefusedStorm,
        Self::KeyUnlocked,
        Self::KeyLocked,
        Self::DeliveryFailed,
        Self::StoreTrouble,
    ];

    /// The `type` of a webhook: words and dots, as Standard Webhooks asks for. Published, so a name
    /// never changes.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::WriteHappened => "write.happened",
            Self::Writes => "write.digest",
            Self::FirstWriteOfKey => "write.first_of_key",
            Self::FirstWriteOfOperation => "write.first_of_operation",
            Self::BudgetLevel => "budget.level",
            Self::WriteUnknown => "write.unknown",
            Self::RefusedStorm => "refused.storm",
            Self::KeyUnlocked => "key.unlocked",
            Self::KeyLocked => "key.locked",
            Self::DeliveryFailed => "delivery.failed",
            Self::StoreTrouble => "store.trouble",
        }
    }
}

/// One write as a message lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteLine {
    /// When it was recorded.
    pub time: Timestamp,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The application.
    pub who: Option<String>,
}

/// Where a click leads: always to a page that says what will happen, never to the act itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// One word, as in `View` or `Lock`.
    pub label: String,
    /// An address of the console. May carry a token that acts.
    pub url: String,
    /// The page that it opens offers an act.
    pub is_act: bool,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} [redacted])", self.label)
    }
}

/// How much a message may disturb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Can wait: digests, tests.
    Low,
    /// As every message.
    Normal,
    /// Wakes a phone: locks only.
    High,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_does_not_print_its_links() {
        let message = crate::render::example();
        let printed = format!("{message:?} {:?}", message.links);
        for link in &message.links {
            assert!(!printed.contains(&link.url), "{printed}");
        }
    }

    #[test]
    fn every_kind_has_a_type_of_its_own() {
        let mut names = MessageKind::ALL.map(MessageKind::type_name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MessageKind::ALL.len());
        let is_word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
        assert!(names.iter().all(|name| name.chars().all(is_word)));
    }
}

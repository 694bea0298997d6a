//! What a message says, before any channel gives it a form.

use std::fmt;

use keystile_core::journal::Outcome;
use keystile_core::notifications::trigger::Trigger;
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
    /// The event that it is about.
    pub trigger: Trigger,
    /// How many of them it is about.
    pub scope: MessageScope,
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
            .field("trigger", &self.trigger)
            .field("state", &self.state)
            .field("who", &self.who)
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

impl Message {
    /// The `type` of a webhook: words and dots, as Standard Webhooks asks for.
    pub fn event_type(&self) -> &'static str {
        match self.scope {
            MessageScope::Event => self.trigger.event_type(),
            MessageScope::Digest => self.trigger.digest_event_type(),
        }
    }
}

/// How many events a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageScope {
    /// One.
    Event,
    /// Several, as one message.
    Digest,
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

/// Where a click leads: always to a page that says what will happen, never to the action itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// One word, as in `View` or `Lock`.
    pub label: String,
    /// An address of the console. May carry a token that acts.
    pub url: String,
    /// The page that it opens offers an action.
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
    #[test]
    fn a_message_does_not_print_its_links() {
        let message = crate::render::example();
        let printed = format!("{message:?} {:?}", message.links);
        for link in &message.links {
            assert!(!printed.contains(&link.url), "{printed}");
        }
    }
}

//! Notices: the facts of what is told, as a delivery keeps them until they are put into words.
//!
//! A notice never holds a key's text, a body or any other secret: it goes to mail servers and chats.

use serde::{Deserialize, Serialize};

use crate::journal::{Outcome, RecordId};
use crate::keys::lock::Lock;
use crate::notifications::trigger::Trigger;
use crate::time::Timestamp;

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Notice {
    /// What happened.
    pub trigger: Trigger,
    /// When; for a digest, when its window ended.
    pub time: Timestamp,
    /// Since when a digest counts; `None` for a single event.
    pub since: Option<Timestamp>,
    /// How many events it stands for.
    pub count: u64,
    /// The key that it concerns.
    pub key: Option<NoticeKey>,
    /// The application that it concerns as a whole, all of its keys.
    #[serde(default)]
    pub application: Option<NoticeApplication>,
    /// The write budget that it concerns.
    pub budget: Option<NoticeBudget>,
    /// The lock that is on the key.
    pub lock: Option<Lock>,
    /// The write, or the last few of several, latest last.
    pub writes: Vec<NoticeWrite>,
    /// Who caused most of several events, worst first.
    pub offenders: Vec<NoticeOffender>,
    /// The last few of several events that are not writes, latest last.
    #[serde(default)]
    pub events: Vec<NoticeEvent>,
    /// Who did it, as people read it.
    pub actor: Option<String>,
    /// More about it, in a sentence or less.
    pub detail: String,
}

impl Notice {
    /// A notice of one event that says nothing more yet.
    pub fn new(trigger: Trigger, time: Timestamp) -> Self {
        Self {
            trigger,
            time,
            since: None,
            count: 1,
            key: None,
            application: None,
            budget: None,
            lock: None,
            writes: Vec::new(),
            offenders: Vec::new(),
            events: Vec::new(),
            actor: None,
            detail: String::new(),
        }
    }
}

/// A key, as messages name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NoticeKey {
    pub id: String,
    /// Its recognizable beginning.
    pub prefix: String,
    /// Its application's name.
    pub application: String,
    /// Its plan.
    pub plan: String,
}

/// An application, as messages name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NoticeApplication {
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A write budget, and what is used of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NoticeBudget {
    /// Its name.
    pub name: String,
    /// As in `20 per day`.
    pub quota: String,
    /// How many writes it includes.
    pub amount: u32,
    /// How many are counted.
    pub used: u64,
    /// The level that was reached, in percent.
    pub level: Option<u8>,
}

/// A write, as messages name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NoticeWrite {
    /// Its record.
    pub id: RecordId,
    /// When.
    pub time: Timestamp,
    /// The API's name.
    pub api: String,
    /// Method and path template.
    pub operation: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The caller's address.
    pub address: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The application's name, where a key is known.
    pub application: Option<String>,
}

/// Who caused events, and how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NoticeOffender {
    /// The key; `None` for callers without one.
    pub key: Option<NoticeKey>,
    /// How many.
    pub count: u64,
    /// How many of these may have been others'; 0 where the count is exact.
    pub inherited: u64,
}

/// An event, as a digest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NoticeEvent {
    /// When.
    pub time: Timestamp,
    /// The key that it concerns.
    pub key: Option<NoticeKey>,
    /// What happened.
    pub detail: String,
}

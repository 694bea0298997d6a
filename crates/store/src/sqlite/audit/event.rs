//! Events: what happened to keys, applications and what guards them, each written in the transaction that
//! made it true.
//!
//! The table is the audit (see [`crate::sqlite::audit`]); rules wait for some of them.

use keystile_core::actor::Actor;
use keystile_core::audit::AuditEvent;
use keystile_core::keys::lock::Lock;
use keystile_core::notifications::notice::NoticeBudget;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::error::{Error, Result};
use crate::key_cache::KeyEntry;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident, $name:literal
        $(formerly $former:literal)? $(notifies $trigger:ident)?;)*) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $($(#[$doc])* $variant,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The name under which earlier versions stored it, where that was another one.
            pub fn former_name(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => [$(Some($former),)? None][0],)*
                }
            }

            /// What it is for rules that wait for it, where rules can.
            pub fn trigger(self) -> Option<Trigger> {
                match self {
                    $(Self::$variant => [$(Some(Trigger::$trigger),)? None][0],)*
                }
            }
        }
    };
}

kinds! {
    /// An application was created.
    ApplicationCreated, "application_created";
    /// An application may no longer call.
    ApplicationSuspended, "application_suspended";
    /// It may again.
    ApplicationResumed, "application_resumed";
    /// An application, and its keys on its plan, got another plan.
    ApplicationPlanChanged, "application_plan_changed";
    /// An application went over a budget that its keys share, or lost its last key while that was locked: all that it
    /// has and gets are locked.
    ApplicationLocked, "application_locked" notifies KeyLocked;
    /// It was unlocked.
    ApplicationUnlocked, "application_unlocked" notifies KeyUnlocked;
    /// An owner noted something about an application.
    ApplicationNoteChanged, "application_note_changed";
    /// A key was issued.
    KeyCreated, "key_created";
    /// A key that another system issued was taken over.
    KeyImported, "key_imported";
    /// A key got another plan.
    KeyPlanChanged, "key_plan_changed";
    /// An owner noted something about a key.
    KeyNoteChanged, "key_note_changed";
    /// A key was locked.
    KeyLocked, "key_locked" notifies KeyLocked;
    /// A key was unlocked.
    KeyUnlocked, "key_unlocked" notifies KeyUnlocked;
    /// A key got a successor.
    KeyRolled, "key_rolled";
    /// A key was revoked.
    KeyRevoked, "key_revoked";
    /// A link was made with which somebody can become an owner.
    ClaimLinkMade, "claim_link_made";
    /// Somebody became an owner.
    OwnerCreated, "owner_created";
    /// Somebody is no longer an owner.
    OwnerRemoved, "owner_removed";
    /// An owner can sign in with another passkey.
    PasskeyAdded, "passkey_added";
    /// A passkey no longer signs its owner in.
    PasskeyRemoved, "passkey_removed";
    /// An owner can sign in with a password, perhaps another one.
    PasswordSet, "password_set";
    /// An owner got recovery codes, and those before them are void.
    RecoveryCodesMade, "recovery_codes_made";
    /// An owner used up a recovery code.
    RecoveryCodeUsed, "recovery_code_used";
    /// An owner signed in.
    SignedIn, "signed_in";
    /// Somebody tried to sign in and failed, perhaps several times in a minute.
    SignInFailed, "sign_in_failed";
    /// An owner signed out.
    SignedOut, "signed_out";
    /// A session was ended from another one.
    SessionEnded, "session_ended";
    /// A token for the admin API was made.
    TokenCreated, "token_created";
    /// A token was revoked.
    TokenRevoked, "token_revoked";
    /// Something was changed in a key source because of a lock here, or after it.
    KeySourceChanged, "key_source_changed";
    /// A key source does not do what a lock here asks of it, or went its own way.
    KeySourceProblem, "key_source_problem";
    /// Somebody took a side where a key source and what is here differed.
    DifferenceSettled, "difference_settled";
    /// An application of a key source was made, changed or deleted at its source.
    SourceApplicationChanged, "source_application_changed";
    /// What a key source counts, limits or serves was changed.
    SourceTermsChanged, "source_terms_changed";
    /// Who may ask a key source was changed.
    SourceAccessChanged, "source_access_changed";
    /// The configuration was read again.
    PolicyReloaded, "policy_reloaded";
    /// The configuration had mistakes when it was read again.
    PolicyReloadFailed, "policy_reload_failed";
    /// The owner goes on although commits that were acknowledged are missing.
    LossAccepted, "loss_accepted";
    /// The store was copied.
    BackupMade, "backup_made";
    /// A key has used a share of a write budget that a rule waits for.
    BudgetLevelReached, "budget_level_reached" notifies BudgetLevel;
    /// A key or an address is refused over and over.
    RefusalBurst, "refusal_burst" formerly "refused_storm" notifies RefusalBurst;
    /// The store could not commit for a while.
    StorageFailure, "storage_failure" formerly "store_trouble" notifies StorageFailure;
    /// Somebody was not told, however often it was tried.
    DeliveryFailed, "delivery_failed" notifies DeliveryFailed;
    /// An owner sent a delivery again.
    DeliveryResent, "delivery_resent";
    /// An owner tried a channel.
    ChannelTested, "channel_tested";
    /// A browser or phone takes push messages.
    DeviceAdded, "device_added";
    /// It no longer does.
    DeviceRemoved, "device_removed";
    /// A mailbox takes no more digests of a rule.
    DigestsStopped, "digests_stopped";
    /// Digests go out again.
    DigestsResumed, "digests_resumed";
    /// An action link did not act, perhaps several times in a minute.
    ActionLinkRefused, "action_link_refused";
}

impl EventKind {
    /// The kind that is stored under a name, of today or of an earlier version.
    pub fn stored_as(name: &str) -> Option<Self> {
        let is_it = |kind: &Self| kind.name() == name || kind.former_name() == Some(name);
        Self::ALL.iter().copied().find(is_it)
    }

    /// Whether it concerns an application as a whole, and rules wait for it.
    pub(crate) fn is_of_application(self) -> bool {
        matches!(self, Self::ApplicationLocked | Self::ApplicationUnlocked)
    }

    /// The name of today for a stored one. The audit itself never changes.
    fn present_name(stored: String) -> String {
        Self::stored_as(&stored).map_or(stored, |kind| kind.name().to_owned())
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    pub(crate) kind: EventKind,
    /// The row number of the key that it concerns.
    pub(crate) key: Option<i64>,
    /// The same of the application.
    pub(crate) application: Option<i64>,
    /// The name of an owner, a token or a channel.
    pub(crate) subject: Option<&'a str>,
    pub(crate) actor: &'a Actor,
    pub(crate) detail: &'a str,
    pub(crate) facts: Facts<'a>,
}

/// What a notification says of an event that the audit does not.
#[derive(Clone, Debug, Default)]
pub(crate) enum Facts<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// Nobody is notified of it, because nothing changed.
    Unannounced,
    /// The lock that is on the key from now on, and the budget that the key went over.
    Lock { lock: &'a Lock, budget: Option<NoticeBudget> },
    /// Who took a lock off.
    Unlock,
    /// The budget that reached a level, for the one rule at a place that waits for it.
    Level { rule: usize, budget: NoticeBudget },
    /// That the channel which is its subject is not to hear of it.
    FailedChannel,
}

impl<'a> Event<'a> {
    /// An event that concerns no key and no application; the subject is a name, where there is one.
    pub fn named(
        kind: EventKind,
        subject: Option<&'a str>,
        actor: &'a Actor,
        detail: &'a str,
    ) -> Self {
        let facts = Facts::Nothing;
        Self { kind, key: None, application: None, subject, actor, detail, facts }
    }

    /// An event that concerns a key, and with it its application.
    pub fn of_key(kind: EventKind, key: &KeyEntry, actor: &'a Actor, detail: &'a str) -> Self {
        let (key, application) = (Some(key.row), Some(key.application.row));
        Self { key, application, ..Self::named(kind, None, actor, detail) }
    }

    /// What it is for rules that wait for it; `None` where nobody is notified.
    pub(crate) fn trigger(&self) -> Option<Trigger> {
        match self.facts {
            Facts::Unannounced => None,
            Facts::Nothing
            | Facts::Lock { .. }
            | Facts::Unlock
            | Facts::Level { .. }
            | Facts::FailedChannel => self.kind.trigger(),
        }
    }
}

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Only those of this kind.
    pub kind: Option<EventKind>,
    /// Only those by an actor of this name, or of this sort, as in `owner`.
    pub actor: Option<String>,
    /// Only those of the key with this row number.
    pub key_row: Option<i64>,
    /// Only those of the application with this row number, and of its keys.
    pub application_row: Option<i64>,
    /// Only those that concern the owner or token with this name.
    pub subject: Option<String>,
    /// Only those with a lower number.
    pub before: Option<i64>,
    /// Only those with a higher number.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

const COLUMNS: &str =
    "event.id, event.time, event.kind, key.uid, application.name, event.subject, event.actor,
     event.detail
     FROM event LEFT JOIN key ON key.id = event.key
     LEFT JOIN application ON application.id = event.application";

fn event_row(row: &Row<'_>) -> Result<AuditEvent> {
    let actor: String = row.get(6)?;
    Ok(AuditEvent {
        id: row.get(0)?,
        time: Timestamp(row.get(1)?),
        kind: EventKind::present_name(row.get(2)?),
        key: row.get(3)?,
        application: row.get(4)?,
        subject: row.get(5)?,
        actor: actor_from(&actor)?,
        detail: row.get(7)?,
    })
}

pub(crate) fn actor_text(actor: &Actor) -> String {
    serde_json::to_string(actor).expect("an actor is two texts")
}

pub(crate) fn actor_from(text: &str) -> Result<Actor> {
    serde_json::from_str(text)
        .map_err(|error| Error::Corrupt(format!("an actor cannot be read: {error}")))
}

/// Events, latest first.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn list(connection: &Connection, query: &EventQuery) -> Result<Vec<AuditEvent>> {
    // Only the conditions that are asked for are written, so that each takes the index made for it.
    let mut conditions = vec!["event.id < ?1 AND event.id > ?2"];
    if query.key_row.is_some() {
        conditions.push("event.key = ?3");
    }
    if query.application_row.is_some() {
        conditions.push("event.application = ?4");
    }
    match query.kind.map(EventKind::former_name) {
        Some(Some(_)) => conditions.push("event.kind IN (?5, ?9)"),
        Some(None) => conditions.push("event.kind = ?5"),
        None => {}
    }
    if query.actor.is_some() {
        // An account is named as in `ada, uid 1000`, and found by either half too.
        conditions.push(
            "(?6 IN (event.actor ->> '$.name', event.actor ->> '$.by')
              OR event.actor ->> '$.by' = 'command_line' AND event.actor ->> '$.name' LIKE '%, uid %'
                 AND (instr(event.actor ->> '$.name', ?6 || ', uid ') = 1
                      OR substr(event.actor ->> '$.name', -length(?6) - 2) = ', ' || ?6))",
        );
    }
    if query.subject.is_some() {
        conditions.push("event.subject = ?7");
    }
    let conditions = conditions.join(" AND ");
    // `coalesce` keeps the parameters that no condition names.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} WHERE {conditions} AND coalesce(?3, ?4, ?5, ?6, ?7, ?9, 1) IS NOT NULL
         ORDER BY event.id DESC LIMIT ?8"
    ))?;
    statement
        .query_and_then(
            params![
                query.before.unwrap_or(i64::MAX),
                query.after.unwrap_or(0),
                query.key_row,
                query.application_row,
                query.kind.map(EventKind::name),
                query.actor,
                query.subject,
                query.limit,
                query.kind.and_then(EventKind::former_name),
            ],
            event_row,
        )?
        .collect()
}

/// What happened to a key, latest first.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn list_of_key(
    connection: &Connection,
    key_row: i64,
    limit: u32,
) -> Result<Vec<AuditEvent>> {
    list(connection, &EventQuery { key_row: Some(key_row), limit, ..EventQuery::default() })
}

/// Whether anything ever happened.
pub(crate) fn exist(connection: &Connection) -> Result<bool> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM event)", [], |row| row.get(0))?)
}

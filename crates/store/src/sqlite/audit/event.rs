//! Events: what happened to keys, applications and what guards them, each written in the transaction that
//! made it true.
//!
//! The table is the audit (see [`crate::sqlite::audit`]), and the outbox of what is to be told.

use keystile_core::lock::Actor;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::error::{Error, Result};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident, $name:literal;)*) => {
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
    /// An owner noted something about an application.
    ApplicationNoteChanged, "application_note_changed";
    /// A key was issued.
    KeyCreated, "key_created";
    /// A key got another plan.
    KeyPlanChanged, "key_plan_changed";
    /// An owner noted something about a key.
    KeyNoteChanged, "key_note_changed";
    /// A key was locked.
    KeyLocked, "key_locked";
    /// A key was unlocked.
    KeyUnlocked, "key_unlocked";
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
    /// The configuration was read again.
    PolicyReloaded, "policy_reloaded";
    /// The configuration had mistakes when it was read again.
    PolicyReloadFailed, "policy_reload_failed";
    /// The owner goes on although commits that were acknowledged are missing.
    LossAccepted, "loss_accepted";
    /// The store was copied.
    BackupMade, "backup_made";
    /// A key has used a share of a write budget that a rule waits for.
    BudgetLevelReached, "budget_level_reached";
    /// A key or an address is refused over and over.
    RefusedStorm, "refused_storm";
    /// The store could not commit for a while.
    StoreTrouble, "store_trouble";
    /// Somebody was not told, however often it was tried.
    DeliveryFailed, "delivery_failed";
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

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) kind: EventKind,
    pub(crate) key: Option<i64>,
    pub(crate) application: Option<i64>,
    /// The name of an owner or token.
    pub(crate) subject: Option<&'a str>,
    pub(crate) actor: &'a Actor,
    pub(crate) detail: &'a str,
}

/// An event as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its number.
    pub id: i64,
    /// When.
    pub time: Timestamp,
    /// Its kind's name.
    pub kind: String,
    /// The id of the key that it concerns.
    pub key: Option<String>,
    /// The name of the application that it concerns.
    pub application: Option<String>,
    /// The name of the owner or token that it concerns.
    pub subject: Option<String>,
    /// Who did it.
    pub actor: Actor,
    /// More about it.
    pub detail: String,
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

fn event_row(row: &Row<'_>) -> Result<EventRow> {
    let actor: String = row.get(6)?;
    Ok(EventRow {
        id: row.get(0)?,
        time: Timestamp(row.get(1)?),
        kind: row.get(2)?,
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
pub fn list(connection: &Connection, query: &EventQuery) -> Result<Vec<EventRow>> {
    // Only the conditions that are asked for are written, so that each takes the index made for it.
    let mut conditions = vec!["event.id < ?1 AND event.id > ?2"];
    if query.key_row.is_some() {
        conditions.push("event.key = ?3");
    }
    if query.application_row.is_some() {
        conditions.push("event.application = ?4");
    }
    if query.kind.is_some() {
        conditions.push("event.kind = ?5");
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
        "SELECT {COLUMNS} WHERE {conditions} AND coalesce(?3, ?4, ?5, ?6, ?7, 1) IS NOT NULL
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
            ],
            event_row,
        )?
        .collect()
}

/// What happened to a key, latest first.
///
/// # Errors
/// When the store cannot be read.
pub fn list_of_key(connection: &Connection, key_row: i64, limit: u32) -> Result<Vec<EventRow>> {
    list(connection, &EventQuery { key_row: Some(key_row), limit, ..EventQuery::default() })
}

/// Whether anything ever happened.
pub(crate) fn exist(connection: &Connection) -> Result<bool> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM event)", [], |row| row.get(0))?)
}

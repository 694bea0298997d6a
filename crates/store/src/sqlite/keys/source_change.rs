//! Applications and keys that follow their source, in the transaction of what it keeps of its own.
//!
//! Every step looks at what is there and changes what differs, so a change may be made twice.

use std::collections::HashMap;
use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::keys::application::{ApplicationId, ApplicationState};
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::{Lock, LockLevel, LockTarget};
use rusqlite::{OptionalExtension, params};

use crate::applications::Progress;
use crate::doors::documents::DocumentEvent;
use crate::doors::source_change::{
    FOLLOWED_AT_ONCE_MAX, FollowedApplication, NewApplication, SourceChange, SourceEvent,
};
use crate::error::{Error, Result};
use crate::key_cache::{ApplicationEntry, KeyEntry};
use crate::keys::{KeyRow, NewKeyRow};
use crate::random::random;
use crate::sqlite::audit::event::{Event, EventKind, actor_from};
use crate::sqlite::documents;
use crate::sqlite::keys::{application, key};
use crate::sqlite::writer::write_tx::WriteTx;

/// What the audit says of a key that its source no longer has; by this it is told from one that an owner revoked.
const GONE: &str = "gone where it comes from";
/// Keys put on another plan at once.
const ON_PLAN_AT_ONCE: u32 = 2_000;

/// Refuses changes that the store does not make.
pub(crate) fn check(change: &SourceChange) -> Result<()> {
    let many = change.applications.len();
    if many > FOLLOWED_AT_ONCE_MAX {
        return Err(Error::Conflict(format!(
            "{many} applications are too many at once: {FOLLOWED_AT_ONCE_MAX} is the most"
        )));
    }
    documents::check(&change.documents)
}

/// Makes a change. Says which keys could not be taken over and why, each in a sentence.
pub(crate) fn make(
    tx: &mut WriteTx<'_>,
    change: &SourceChange,
    actor: &Actor,
) -> Result<Vec<String>> {
    let mut left = Vec::new();
    if !change.documents.is_empty() {
        documents::change(tx, &change.documents, None)?;
    }
    // A key may go from one application to another, so all that end do so first.
    let mut ended = Ended::new();
    let mut begun = Vec::new();
    for followed in &change.applications {
        begun.push(begin(tx, followed, &mut ended, actor)?);
    }
    for (followed, (application, held)) in change.applications.iter().zip(begun) {
        finish(tx, followed, &application, (held, &ended), actor, &mut left)?;
    }
    for SourceEvent { event, application } in &change.events {
        let DocumentEvent { kind, subject, actor, detail } = event;
        let application = application.map(|id| row_of(tx, id)).transpose()?;
        let event = Event::named(*kind, subject.as_deref(), actor, detail);
        tx.record_event(&Event { application, ..event })?;
    }
    Ok(left)
}

fn row_of(tx: &WriteTx<'_>, id: ApplicationId) -> Result<i64> {
    application::application_row_of(tx.connection, &id.to_string())
}

/// Locks of keys that ended in this change.
type Ended = HashMap<KeyHash, Lock>;

/// What keys leave behind that an application no longer has: it holds until an owner takes it off.
#[derive(Default)]
struct Held {
    /// Locks, each with the key that it was on.
    locks: Vec<(Arc<KeyEntry>, Lock)>,
    /// A key that an owner revoked, and the lock that stands for that where no key is left.
    revoked: Option<(Arc<KeyEntry>, Lock)>,
}

/// Makes an application, puts it on its plan, and ends keys. Gives what held of them.
fn begin(
    tx: &mut WriteTx<'_>,
    followed: &FollowedApplication,
    ended: &mut Ended,
    actor: &Actor,
) -> Result<(Arc<ApplicationEntry>, Held)> {
    let application = match &followed.new {
        Some(new) => create(tx, followed.id, new, actor)?,
        None => tx.application_entry(row_of(tx, followed.id)?)?,
    };
    if let Some(plan) = &followed.plan {
        put_on(tx, application.row, plan, actor)?;
    }
    let held = end(tx, &application, (&followed.ended, ended), actor)?;
    Ok((application, held))
}

/// Takes keys over, and passes locks on to them.
fn finish(
    tx: &mut WriteTx<'_>,
    followed: &FollowedApplication,
    application: &Arc<ApplicationEntry>,
    (mut held, ended): (Held, &Ended),
    actor: &Actor,
    left: &mut Vec<String>,
) -> Result<()> {
    for new in &followed.added {
        match take_over(tx, application, new, actor)? {
            Ok(()) => {
                if let (Some(lock), Some(row)) = (ended.get(&new.hash), found(tx, &new.hash)?) {
                    held.locks.push((tx.entry(row.row)?, lock.clone()));
                }
            }
            Err(why) => left.push(why),
        }
    }
    pass_on(tx, application, &followed.keys, held)?;
    if let Some(state) = followed.state {
        set_state(tx, application, state, actor)?;
    }
    Ok(())
}

fn create(
    tx: &mut WriteTx<'_>,
    id: ApplicationId,
    new: &NewApplication,
    actor: &Actor,
) -> Result<Arc<ApplicationEntry>> {
    let last = new.names.last().map(|name| format!("{name} {}", id.uuid().simple()));
    for name in new.names.iter().chain(&last) {
        match tx.create_application_as(id, name, &new.plan, actor) {
            Err(Error::Exists(_)) => {}
            created => return created,
        }
    }
    Err(Error::Conflict("an application needs a name".to_owned()))
}

fn put_on(tx: &mut WriteTx<'_>, application: i64, plan: &str, actor: &Actor) -> Result<()> {
    let mut after = 0;
    loop {
        let (_, progress) =
            tx.set_application_plan(application, plan, (after, ON_PLAN_AT_ONCE), actor)?;
        match progress {
            Progress::Unfinished { after: last } => after = last,
            Progress::Done => return Ok(()),
        }
    }
}

/// Ends those of the keys that are this application's and came from a source. Gives what held of them, also of
/// keys that stay where they are because they are another application's here.
fn end(
    tx: &mut WriteTx<'_>,
    application: &ApplicationEntry,
    (hashes, ended): (&[KeyHash], &mut Ended),
    actor: &Actor,
) -> Result<Held> {
    let mut held = Held::default();
    for hash in hashes {
        let Some(row) = found(tx, hash)? else { continue };
        let entry = tx.entry(row.row)?;
        if row.revoked.is_some() {
            if !has_gone(tx, &row)? {
                held.revoked = Some((entry, lock_of_revoked(tx, &row, actor)));
            }
            continue;
        }
        let lock = row.own_lock_at(tx.now).cloned();
        held.locks.extend(lock.clone().map(|lock| (entry.clone(), lock)));
        if row.application_row == application.row && row.origin.is_some() {
            ended.extend(lock.map(|lock| (*hash, lock)));
            tx.revoke_key(&entry, actor, GONE)?;
        }
    }
    Ok(held)
}

/// What stands for a revocation by an owner, so that whoever had the key does not go on without one.
fn lock_of_revoked(tx: &WriteTx<'_>, key: &KeyRow, actor: &Actor) -> Lock {
    Lock {
        level: LockLevel::All,
        reason: format!("its key {} was revoked, and it has no other", key.prefix),
        actor: actor.clone(),
        since: tx.now,
        until: None,
        evidence: None,
        on: LockTarget::Application,
    }
}

fn found(tx: &WriteTx<'_>, hash: &KeyHash) -> Result<Option<KeyRow>> {
    match key::find_key_by_hash(tx.connection, hash) {
        Ok(row) => Ok(Some(row)),
        Err(Error::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a key over. One that had ended at its source comes back as a new key; says why where it cannot.
fn take_over(
    tx: &mut WriteTx<'_>,
    application: &Arc<ApplicationEntry>,
    new: &NewKeyRow,
    actor: &Actor,
) -> Result<std::result::Result<(), String>> {
    if let Some(known) = found(tx, &new.hash)? {
        let KeyRow { prefix, application: home, .. } = &known;
        if known.revoked.is_none() {
            let is_its = known.application_row == application.row;
            let why =
                format!("a key of {} is known here already: {prefix} of {home}", application.name);
            return Ok(if is_its { Ok(()) } else { Err(why) });
        }
        if !has_gone(tx, &known)? {
            return Ok(Err(format!("a key of {home} was revoked here and stays so: {prefix}")));
        }
        let mut statement =
            tx.connection.prepare_cached("UPDATE key SET hash = ?2 WHERE id = ?1")?;
        statement.execute(params![known.row, random::<32>().as_slice()])?;
    }
    let plan = tx
        .connection
        .prepare_cached("SELECT plan FROM application WHERE id = ?1")?
        .query_row([application.row], |row| row.get(0))?;
    tx.create_key(application, &NewKeyRow { plan, ..new.clone() }, actor)?;
    Ok(Ok(()))
}

/// Whether a key was revoked because its source no longer had it.
fn has_gone(tx: &WriteTx<'_>, key: &KeyRow) -> Result<bool> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT detail FROM event WHERE key = ?1 AND kind = ?2 ORDER BY id DESC LIMIT 1",
    )?;
    let kind = EventKind::KeyRevoked.name();
    let detail = statement.query_row(params![key.row, kind], |row| row.get::<_, String>(0));
    Ok(detail.optional()?.as_deref() == Some(GONE))
}

/// Puts the locks of keys that ended on those that are left. Where none is, the application itself is locked: a door
/// may let it call without a key, and the next key is under its lock.
fn pass_on(
    tx: &mut WriteTx<'_>,
    application: &Arc<ApplicationEntry>,
    keys: &[KeyHash],
    held: Held,
) -> Result<()> {
    let Held { locks, revoked } = held;
    let joined = locks.into_iter().reduce(|(key, lock), (_, other)| {
        let (lock, _) = lock.joined_with(Some(other));
        (key, lock)
    });
    if joined.is_none() && revoked.is_none() {
        return Ok(());
    }
    let mut is_any_left = false;
    for hash in keys {
        let Some(row) = found(tx, hash)? else { continue };
        if row.application_row == application.row && !row.is_revoked_at(tx.now) {
            is_any_left = true;
            if let Some((_, lock)) = &joined {
                let entry = tx.entry(row.row)?;
                tx.lock_key(&entry, lock.clone())?;
            }
        }
    }
    if is_any_left {
        return Ok(());
    }
    for (key, lock) in revoked.into_iter().chain(joined) {
        let lock = Lock { on: LockTarget::Application, ..lock };
        tx.lock_application((application, &key), lock, None)?;
    }
    Ok(())
}

fn set_state(
    tx: &mut WriteTx<'_>,
    application: &ApplicationEntry,
    state: ApplicationState,
    actor: &Actor,
) -> Result<()> {
    let row = application::find_application(tx.connection, &application.id.to_string())?;
    let is_ours = match state {
        ApplicationState::Suspended => true,
        ApplicationState::Active => was_suspended_by_source(tx, application)?,
    };
    if row.state == state || !is_ours {
        return Ok(());
    }
    tx.set_application_state(application.row, state, actor)
}

/// Whether the suspension of an application is a key source's.
fn was_suspended_by_source(tx: &WriteTx<'_>, application: &ApplicationEntry) -> Result<bool> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT actor FROM event WHERE application = ?1 AND kind = ?2 ORDER BY id DESC LIMIT 1",
    )?;
    let kind = EventKind::ApplicationSuspended.name();
    let actor = statement.query_row(params![application.row, kind], |row| row.get::<_, String>(0));
    let Some(actor) = actor.optional()? else { return Ok(false) };
    Ok(matches!(actor_from(&actor)?, Actor::KeySource(_)))
}

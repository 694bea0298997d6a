//! What owners do with applications, each in one transaction of the writer.

use keystile_core::actor::Actor;
use keystile_core::keys::application::ApplicationState;

use crate::applications::{ApplicationEdit, ApplicationRow, PlanChange, Progress};
use crate::error::{Error, Result};
use crate::sqlite::keys::application;
use crate::sqlite::writer::write_tx::WriteTx;

/// The application to edit, where it is as expected.
pub(super) fn begin(tx: &WriteTx<'_>, edit: &ApplicationEdit) -> Result<ApplicationRow> {
    let row = application::find_application(tx.connection, &edit.application)?;
    if !edit.expected.allows(|| row.version_at(tx.now)) {
        return Err(Error::Stale("application".to_owned()));
    }
    Ok(row)
}

/// Creates an application without a key.
pub(crate) fn create(
    tx: &mut WriteTx<'_>,
    name: &str,
    plan: &str,
    actor: &Actor,
) -> Result<ApplicationRow> {
    tx.create_application(name, plan, actor)?;
    application::find_application(tx.connection, name)
}

/// Suspends or resumes an application. One that its source suspends is not resumed here: it could not call.
pub(crate) fn set_state(
    tx: &mut WriteTx<'_>,
    edit: &ApplicationEdit,
    state: ApplicationState,
) -> Result<ApplicationRow> {
    let row = begin(tx, edit)?;
    let is_resumed = state == ApplicationState::Active;
    if is_resumed && tx.application_entry(row.row)?.is_suspended_at_source() {
        let name = &row.name;
        let why =
            format!("{name} is suspended where it comes from: it has to be resumed there first");
        return Err(Error::Conflict(why));
    }
    if row.state != state {
        tx.set_application_state(row.row, state, &edit.actor)?;
    }
    Ok(ApplicationRow { state, ..row })
}

/// Puts some of an application's keys on another plan.
pub(crate) fn set_plan(
    tx: &mut WriteTx<'_>,
    edit: &ApplicationEdit,
    change: &PlanChange,
) -> Result<(usize, Progress)> {
    let row = begin(tx, edit)?;
    let PlanChange { plan, after, limit } = change;
    tx.set_application_plan(row.row, plan, (*after, *limit), &edit.actor)
}

/// Notes something about an application.
pub(crate) fn set_note(
    tx: &mut WriteTx<'_>,
    edit: &ApplicationEdit,
    note: Option<&str>,
) -> Result<ApplicationRow> {
    let row = begin(tx, edit)?;
    if row.note.as_deref() != note {
        tx.set_application_note(row.row, note, &edit.actor)?;
    }
    Ok(ApplicationRow { note: note.map(str::to_owned), ..row })
}

//! Going on without commits that were acknowledged and are missing, on the owner's word.

use keystile_core::actor::Actor;

use crate::error::{Error, Result};
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::files::directory::{self, DataDirectory};
use crate::sqlite::files::loss::{self, Missing};
use crate::store::Store;

/// Goes on without what is missing, on the owner's word; says what that was. What can be kept for whoever
/// wants to look into it is kept under other names.
///
/// # Errors
/// When the directory cannot be changed, or the store cannot be opened or cannot commit.
pub fn accept(directory: DataDirectory, actor: &Actor) -> Result<Option<String>> {
    let fault = |source| Error::Directory { path: directory.path().to_owned(), source };
    let missing = match loss::refuse_without_database(&directory) {
        Err(Error::Lost { what, .. }) => {
            let aside = directory::new_folder(directory.path(), "before-loss").map_err(fault)?;
            for path in directory.store_files().iter().chain([&directory.restoring()]) {
                directory::move_if_there(path, &aside).map_err(fault)?;
            }
            directory::sync_folder(&aside).map_err(fault)?;
            return Ok(Some(format!("{what}; the next start begins a new store")));
        }
        Err(error) => return Err(error),
        Ok(()) => loss::find(&directory)?,
    };
    let Some(what) = missing else { return Ok(None) };
    let aside = directory::new_folder(directory.path(), "before-loss").map_err(fault)?;
    for path in [directory.log(), directory.mark_file()] {
        directory::copy_if_there(&path, &aside).map_err(fault)?;
    }
    let (store, _) = Store::open_accepting(directory, Missing::Accepted)?;
    let (actor, detail) = (actor.clone(), what.clone());
    let noted = store.change_now(move |work| {
        work.record_event(&Event::named(EventKind::LossAccepted, None, &actor, &detail))
    });
    noted.map(|()| Some(what))
}

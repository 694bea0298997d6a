//! What an editor saw of a key or an application, so that nobody changes what they have not seen.
//!
//! A version is a hash of what can be edited. An edit that says which one it expects is compared inside
//! the transaction that changes it, so that of two editors who saw the same one, one is told. What moves
//! by itself (counts, last calls, what happened) is no part of it.

use keystile_store::WriteTx;
use keystile_store::error::Error;
use keystile_store::sqlite::keys::key::{self, KeyRow};
use sha2::{Digest, Sha256};

use crate::command::{ApplicationView, KeyView};
use crate::keys::view;

/// Which versions of what it changes an edit is meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever there is.
    #[default]
    Any,
    /// One of these; none at all where it is empty.
    OneOf(Vec<String>),
}

/// Half of the hash tells versions apart as well as all of it.
fn digits(state: &str) -> String {
    Sha256::digest(state.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl KeyView {
    /// The version of what can be edited of the key.
    pub fn version(&self) -> String {
        let Self { id, plan, state, lock, expires, note, .. } = self;
        // Debug quotes texts, so no two states are written alike.
        digits(&format!("{:?}", (id, plan, state, lock, expires, note)))
    }
}

impl ApplicationView {
    /// The version of what can be edited of the application.
    pub fn version(&self) -> String {
        let Self { id, name, plan, state, note, .. } = self;
        digits(&format!("{:?}", (id, name, plan, state, note)))
    }
}

impl Expected {
    fn check(&self, what: &str, present: impl FnOnce() -> String) -> Result<(), Error> {
        match self {
            Self::Any => Ok(()),
            Self::OneOf(versions) if versions.contains(&present()) => Ok(()),
            Self::OneOf(_) => Err(Error::Stale(what.to_owned())),
        }
    }

    pub(crate) fn check_key(&self, work: &WriteTx<'_>, row: &KeyRow) -> Result<(), Error> {
        self.check("key", || view::key(row.clone(), None, None, work.now()).version())
    }

    pub(crate) fn check_application(&self, work: &WriteTx<'_>, id: &str) -> Result<(), Error> {
        if *self == Self::Any {
            return Ok(());
        }
        let present = key::find_application(work.connection(), id)?;
        self.check("application", || view::application(present).version())
    }
}

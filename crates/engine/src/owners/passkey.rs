//! Passkeys of owners. What is inside one is the console's: here it is a text with its credential's id.

use std::sync::Arc;

use keystile_core::label::SHORT_NAME_CHARS_MAX;
use keystile_core::owners::passkey::PasskeyId;
use keystile_core::owners::scope::Scope;
use keystile_core::time::Timestamp;
use keystile_store::error::Error;
use keystile_store::owners::NewPasskeyRow;
use keystile_store::owners::credentials::PasskeyRow;
use uuid::Uuid;

use crate::command::failure::{conflict, failure};
use crate::command::input::check_name_of;
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;
use crate::owners::owner::OwnerView;

/// The largest text that a passkey may be; those of real authenticators have less than 2 KiB.
const PASSKEY_BYTES_MAX: usize = 16 * 1024;
/// The longest id of a credential that authenticators give (CTAP 2.1).
const CREDENTIAL_BYTES_MAX: usize = 1023;

/// A passkey to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPasskey {
    /// The id that its authenticator gave it.
    pub credential: Vec<u8>,
    /// What the console needs to verify it, as JSON.
    pub data: String,
    /// What its owner calls it.
    pub name: String,
}

/// A passkey as its owner sees it, with what the console needs to verify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyView {
    pub id: PasskeyId,
    /// The id that its authenticator gave it.
    pub credential: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// What the console needs to verify it, as JSON.
    pub data: String,
    /// When it was added.
    pub created: Timestamp,
    /// When it last signed its owner in.
    pub used: Option<Timestamp>,
}

impl From<PasskeyRow> for PasskeyView {
    fn from(row: PasskeyRow) -> Self {
        let PasskeyRow { id, credential, name, data, created, used } = row;
        Self { id, credential, name, data, created, used }
    }
}

/// Lists the passkeys of the owner who asks, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPasskeys;

/// Gives the owner who asks another passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPasskey {
    /// The passkey.
    pub passkey: NewPasskey,
}

/// Takes a passkey from the owner who asks; never what they last sign in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovePasskey {
    /// The passkey.
    pub passkey: PasskeyId,
}

impl Command for ListPasskeys {
    type Answer = Vec<PasskeyView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Vec<PasskeyView>> {
        Box::pin(async move {
            let rows = engine.store.passkeys(by.owner()?).await?;
            Ok(rows.into_iter().map(PasskeyView::from).collect())
        })
    }
}

impl Command for AddPasskey {
    type Answer = ();
    const SCOPE: Scope = Scope::Admin;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, ()> {
        Box::pin(async move {
            let new = checked_passkey(self.passkey)?;
            Ok(engine.store.add_passkey(by.owner()?, new, by.actor().clone()).await?)
        })
    }
}

impl Command for RemovePasskey {
    type Answer = ();
    const SCOPE: Scope = Scope::Admin;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, ()> {
        Box::pin(async move {
            let actor = by.actor().clone();
            let removed = engine.store.remove_passkey(by.owner()?, self.passkey, actor).await;
            removed.map_err(|error| match error {
                Error::Conflict(message) => conflict(message, "add another passkey first"),
                other => other.into(),
            })
        })
    }
}

impl Engine {
    /// The owner whom passkeys know by a handle, with the one of their passkeys that has a credential's
    /// id; for signing in.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn owner_of_passkey(
        &self,
        handle: Uuid,
        credential: &[u8],
    ) -> Result<Option<(OwnerView, PasskeyView)>, Failure> {
        let found = self.store.passkey(handle, credential.to_vec()).await?;
        Ok(found.map(|(owner, passkey)| (owner.into(), passkey.into())))
    }

    /// Keeps what a passkey became when it signed its owner in, such as its counter.
    ///
    /// # Errors
    /// `Missing` when there is no such passkey any more; when the store cannot commit.
    pub async fn update_passkey(&self, credential: &[u8], data: String) -> Result<(), Failure> {
        Ok(self.store.update_passkey(credential.to_vec(), data).await?)
    }
}

/// A passkey as it is kept.
pub(crate) fn checked_passkey(new: NewPasskey) -> Result<NewPasskeyRow, Failure> {
    let NewPasskey { credential, data, name } = new;
    check_name_of("a passkey", "passkey_", &name, SHORT_NAME_CHARS_MAX)?;
    let is_fine = (1..=CREDENTIAL_BYTES_MAX).contains(&credential.len())
        && (1..=PASSKEY_BYTES_MAX).contains(&data.len());
    if !is_fine {
        return Err(failure("this passkey is not of a usual size", "try another one"));
    }
    Ok(NewPasskeyRow { id: PasskeyId::new(Uuid::now_v7()), credential, name, data })
}

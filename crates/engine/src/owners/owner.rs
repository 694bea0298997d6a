//! Owners: who signs in at the console, and how they stop being one.
//!
//! # What this protects
//!
//! No owner can shut out everybody: the last owner stays, and so does the last thing that an owner signs in
//! with.

use std::sync::Arc;

use keystile_core::label::NAME_CHARS_MAX;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::principal::Principal;
use keystile_core::owners::scope::Scope;
use keystile_core::time::Timestamp;
use keystile_store::error::Error;
use keystile_store::owners::OwnerRow;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::advice;
use crate::command::failure::{conflict, missing};
use crate::command::input::check_name_of;
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;

/// An owner as they are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OwnerView {
    /// Their id.
    pub id: OwnerId,
    /// Their name.
    pub name: String,
    /// What passkeys know them by.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub handle: Uuid,
    /// Whether they can sign in with a password.
    pub has_password: bool,
    /// How many passkeys they have.
    pub passkeys: u32,
    /// How many recovery codes they have left.
    pub recovery_codes: u32,
    /// Since when they are an owner.
    pub created: Timestamp,
}

impl OwnerView {
    /// Who asks, where this owner is signed in and asks for something.
    pub fn principal(&self) -> Principal {
        Principal::Owner { id: self.id, name: self.name.clone() }
    }
}

impl From<OwnerRow> for OwnerView {
    fn from(row: OwnerRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            handle: row.handle,
            has_password: row.password.is_some(),
            passkeys: row.passkeys,
            recovery_codes: row.recovery_codes,
            created: row.created,
        }
    }
}

/// Lists owners by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListOwners;

/// Removes an owner with all they sign in with, their sessions, their devices, and links that were not yet
/// used; never the last one. Tokens that they made go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveOwner {
    /// Their name or id.
    pub owner: String,
}

impl Command for ListOwners {
    type Answer = Vec<OwnerView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<OwnerView>> {
        Box::pin(async move {
            Ok(engine.store.owners().await?.into_iter().map(OwnerView::from).collect())
        })
    }
}

impl Command for RemoveOwner {
    type Answer = OwnerView;
    const SCOPE: Scope = Scope::Admin;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, OwnerView> {
        Box::pin(async move {
            let removed = engine.store.remove_owner(self.owner, by.actor().clone()).await;
            removed.map(OwnerView::from).map_err(|error| match error {
                Error::Missing(what) => missing(format!("there is no {what}"), advice::LIST_OWNERS),
                Error::Conflict(message) => conflict(message, advice::OTHER_OWNER),
                other => other.into(),
            })
        })
    }
}

impl Engine {
    /// Whether there is an owner.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn has_owner(&self) -> Result<bool, Failure> {
        Ok(self.store.has_owner().await?)
    }
}

/// Whether an owner may be called so.
///
/// # Errors
/// `Invalid` when the name is empty, too long, looks like an id, or does not show as itself.
pub fn check_owner_name(name: &str) -> Result<(), Failure> {
    check_name_of("an owner", "owner_", name, NAME_CHARS_MAX)
}

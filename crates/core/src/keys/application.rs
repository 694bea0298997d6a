//! Applications: who has a plan and keys.

use crate::id::id;

id!(ApplicationId, "app_", "an application");

/// Whether an application may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ApplicationState {
    /// It may.
    Active,
    /// The owner stopped all its keys.
    Suspended,
}

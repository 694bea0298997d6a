//! What an owner says about an account that is driven.

use std::collections::BTreeMap;
use std::time::Duration;

use keystile_core::notifications::channel::SecretSource;
use keystile_core::time::Span;
use keystile_engine::keys::look_up::look_ups::LookUpLimits;

use crate::drive::usage::mapping::UsageMap;
use crate::portal::address::PortalAddress;
use crate::portal::records::ServiceId;
use crate::portal::settings::PortalSettings;

/// An account, and how it is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveSettings {
    /// What the configuration calls it.
    pub name: String,
    /// Its portal.
    pub portal: PortalSettings,
    /// The service whose applications are brought over.
    pub service: ServiceId,
    /// Plans there, by name, and the plans that they are here.
    pub plans: BTreeMap<String, String>,
    /// The plan of applications on other plans; without it they are not brought over.
    pub default_plan: Option<String>,
    /// What a lock here asks for there.
    pub on_lock: OnLock,
    /// How often the portal is read.
    pub refresh: Duration,
    /// How long its keys work here after the portal was last read, where it cannot be read.
    pub keep_known: Span,
    /// How often it is asked about keys that are unknown here.
    pub look_ups: LookUpLimits,
    /// Where the secret is that ends the address for webhooks; none are taken without.
    pub webhook_secret: Option<SecretSource>,
    /// How usage is reported, where it is.
    pub usage: Option<UsageSettings>,
}

/// Where usage is reported, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSettings {
    /// The backend of the account.
    pub backend: PortalAddress,
    /// Where the service token is. It is read for each report.
    pub service_token: SecretSource,
    /// What calls count as.
    pub map: UsageMap,
}

/// What a lock here asks for there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnLock {
    /// That the application is suspended, and resumed when the lock is gone.
    #[default]
    Suspend,
    /// That the application is put on the plan of this name there, and back on its own when the lock is gone.
    ChangePlan(String),
    /// Nothing.
    Nothing,
}

//! Devices: browsers that owners subscribed to push messages.

use std::sync::Arc;

use keystile_core::label::SHORT_NAME_CHARS_MAX;
use keystile_core::notifications::subscription::SubscriptionId;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::principal::Principal;
use keystile_core::owners::scope::Scope;
use keystile_core::time::Timestamp;
use keystile_store::owners::devices::{NewSubscription, SubscriptionRow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::command::failure::{failure, missing};
use crate::command::input::check_name_of;
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;
use crate::notifications::delivery::DeliveryView;

/// The longest address of a push service that is kept; those of the known ones have a few hundred bytes.
const ADDRESS_BYTES_MAX: usize = 2_000;
/// A public key on P-256 and a secret of 16 bytes, in base64url.
const KEY_BYTES_MAX: usize = 200;

/// A device that takes push messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeviceView {
    pub id: SubscriptionId,
    /// The id of its owner.
    pub owner: OwnerId,
    /// What its owner calls it.
    pub label: String,
    /// Since when.
    pub created: Timestamp,
    /// When a message last arrived.
    #[cfg_attr(feature = "schema", schema(required))]
    pub used: Option<Timestamp>,
}

impl From<SubscriptionRow> for DeviceView {
    fn from(row: SubscriptionRow) -> Self {
        Self {
            id: row.id,
            owner: row.owner,
            label: row.label,
            created: row.created,
            used: row.used,
        }
    }
}

/// A device that a browser offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDevice {
    /// Where its push service takes messages for it.
    pub push_address: String,
    /// What messages to it are encrypted for.
    pub p256dh: String,
    /// A secret that it shares with whoever sends.
    pub auth: String,
    /// What its owner calls it.
    pub label: String,
}

/// Lists the devices of all owners, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListDevices;

/// Subscribes a device of the owner who asks; one that is known gets its new keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeDevice {
    /// The device.
    pub device: NewDevice,
}

/// Pushes a real message to a device, and waits for what its push service answers. Owners test only their
/// own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestDevice {
    /// The device.
    pub device: SubscriptionId,
}

/// Removes a device; nothing is pushed to it any more. Owners remove only their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveDevice {
    /// The device.
    pub device: SubscriptionId,
}

impl Command for ListDevices {
    type Answer = Vec<DeviceView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<DeviceView>> {
        Box::pin(async move {
            Ok(engine.store.devices().await?.into_iter().map(DeviceView::from).collect())
        })
    }
}

impl Command for SubscribeDevice {
    type Answer = SubscriptionId;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, SubscriptionId> {
        Box::pin(async move {
            let new = checked(by.owner()?, self.device)?;
            Ok(engine.store.subscribe_device(new, by.actor().clone()).await?)
        })
    }
}

impl Command for TestDevice {
    type Answer = Vec<DeliveryView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Self::Answer> {
        Box::pin(async move {
            engine.check_device(self.device, by).await?;
            engine.test_device(self.device, by.actor().clone()).await
        })
    }
}

impl Command for RemoveDevice {
    type Answer = ();
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, ()> {
        Box::pin(async move {
            engine.check_device(self.device, by).await?;
            Ok(engine.store.remove_device(self.device, by.actor().clone()).await?)
        })
    }
}

impl Engine {
    /// That there is a device which somebody may act on. To an owner, those of others do not exist.
    async fn check_device(&self, id: SubscriptionId, by: &Authorized) -> Result<(), Failure> {
        let found = self.store.device(id).await?.filter(|device| match by.principal() {
            Principal::Owner { id, .. } => device.owner == *id,
            Principal::Token { .. }
            | Principal::CommandLine { .. }
            | Principal::Link { .. }
            | Principal::KeySource { .. }
            | Principal::System => true,
        });
        match found {
            Some(_) => Ok(()),
            None => Err(missing(format!("there is no device {id}"), "subscribe it again")),
        }
    }
}

/// A device as it is kept.
fn checked(owner: OwnerId, device: NewDevice) -> Result<NewSubscription, Failure> {
    let is_fine = device.push_address.len() <= ADDRESS_BYTES_MAX
        && device.push_address.starts_with("https://")
        && device.p256dh.len() <= KEY_BYTES_MAX
        && device.auth.len() <= KEY_BYTES_MAX;
    if !is_fine {
        return Err(failure(
            "this is no push subscription that a browser gives",
            "try again with another browser",
        ));
    }
    check_name_of("a device", "subscription_", &device.label, SHORT_NAME_CHARS_MAX)?;
    Ok(NewSubscription {
        id: SubscriptionId::new(Uuid::now_v7()),
        owner,
        push_address: device.push_address,
        p256dh: device.p256dh,
        auth: device.auth,
        label: device.label,
    })
}

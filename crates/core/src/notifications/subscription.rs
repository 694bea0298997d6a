//! Devices that pushes go to.

use crate::id::id;

id!(SubscriptionId, "device_", "a device");

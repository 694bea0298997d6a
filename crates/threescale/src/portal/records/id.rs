//! The portal's numbers for its records.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::lenient;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(u64);

        impl $name {
            /// The record with this number.
            pub fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number.
            pub fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                lenient::number(deserializer).map(Self)
            }
        }
    };
}

id! {
    /// Names a service, which is an API product.
    ServiceId
}
id! {
    /// Names a backend, which services use.
    BackendId
}
id! {
    /// Names an application plan.
    PlanId
}
id! {
    /// Names a metric or a method.
    MetricId
}
id! {
    /// Names a usage limit.
    LimitId
}
id! {
    /// Names a mapping rule.
    RuleId
}
id! {
    /// Names an account, which is a developer's organization.
    AccountId
}
id! {
    /// Names an application. It is not its `app_id`, which the portal's JSON calls `application_id`.
    ApplicationId
}
id! {
    /// Names an access token. It authenticates nobody.
    TokenId
}

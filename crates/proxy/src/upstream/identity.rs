//! What the upstream learns of a caller: header values, made once for each key that calls often.

use std::borrow::Cow;
use std::cell::RefCell;

use http::{HeaderMap, HeaderName, HeaderValue};
use keystile_core::keys::key::KeyId;
use keystile_engine::Identity;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

const X_KEYSTILE_APPLICATION: HeaderName = HeaderName::from_static("x-keystile-application");
const X_KEYSTILE_KEY: HeaderName = HeaderName::from_static("x-keystile-key");
const X_KEYSTILE_PLAN: HeaderName = HeaderName::from_static("x-keystile-plan");

/// Names are written as visible ASCII; `%` itself is escaped too, so that each has one spelling.
const NOT_VISIBLE: &AsciiSet = &CONTROLS.add(b'%');

/// Keys share places by their number; a key that loses its place only costs making its values again.
const PLACES: usize = 4096;

#[derive(Clone)]
struct CachedValues {
    key: KeyId,
    id: HeaderValue,
    application: HeaderValue,
    /// The plan as it was then; an owner may have changed it since.
    plan_name: Box<str>,
    plan: HeaderValue,
}

/// The values of the keys that called lately, on one core.
pub(crate) struct IdentityCache {
    places: RefCell<Vec<Option<CachedValues>>>,
}

impl Default for IdentityCache {
    fn default() -> Self {
        Self { places: RefCell::new(vec![None; PLACES]) }
    }
}

impl IdentityCache {
    /// Sets the fields by which the upstream knows who calls. What a caller claims of this is stripped
    /// before.
    pub(crate) fn set_headers(
        &self,
        headers: &mut HeaderMap,
        identity: &Identity,
        plan: Option<&str>,
    ) {
        match identity {
            Identity::Key(key) => {
                let place = usize::try_from(key.number()).unwrap_or(0) % PLACES;
                let present = key.plan();
                let plan = plan.unwrap_or(&present);
                let mut places = self.places.borrow_mut();
                let values = match &mut places[place] {
                    Some(known) if known.key == key.id && *known.plan_name == *plan => known,
                    other => other.insert(CachedValues {
                        key: key.id,
                        id: value(&key.id.to_string()),
                        application: value(&key.application.name),
                        plan_name: plan.into(),
                        plan: value(plan),
                    }),
                };
                headers.insert(X_KEYSTILE_APPLICATION, values.application.clone());
                headers.insert(X_KEYSTILE_KEY, values.id.clone());
                headers.insert(X_KEYSTILE_PLAN, values.plan.clone());
            }
            Identity::Keyless | Identity::Unknown => {
                if let Some(plan) = plan {
                    headers.insert(X_KEYSTILE_PLAN, value(plan));
                }
            }
        }
    }
}

fn value(text: &str) -> HeaderValue {
    let written: Cow<'_, str> = utf8_percent_encode(text, NOT_VISIBLE).into();
    HeaderValue::from_str(&written).expect("percent-encoding leaves visible ASCII and blanks")
}

//! Issuing keys, and successors of keys.

use std::sync::Arc;

use keystile_core::keys::key::KeyId;
use keystile_core::keys::text::KeyText;
use keystile_core::owners::scope::Scope;
use keystile_core::policy::example_call::Wanted;
use keystile_core::version::Expected;
use keystile_store::error::Error;
use keystile_store::keys::{KeyEdit, NewKeyRow, NewKeys, Successor};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::advice;
use crate::command::failure::{failure, key_failure};
use crate::command::input::{check_name, checked_length};
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;

/// Keys issued in one command.
const CREATED_MAX: u32 = 1_000_000;
/// Keys issued in one transaction.
const CREATED_AT_ONCE: u32 = 5_000;

/// A key that was just issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NewKey {
    pub id: String,
    /// The key itself.
    pub key: String,
    /// The application's name.
    pub application: String,
    /// Its plan.
    pub plan: String,
    /// A line for a shell that makes a call with the key, where one is known that would pass; of several
    /// keys that are issued together, only the first has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

/// Issues keys for an application, which is created when it is new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateKeys {
    /// The application's name.
    pub application: String,
    /// The plan of the keys, and of the application when it is new; the application's plan, where `None`.
    pub plan: Option<String>,
    /// How many.
    pub count: u32,
}

/// Issues a successor, after which the key works for a grace period and is then revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollKey {
    /// Its id, prefix or text.
    pub key: String,
    /// For how many milliseconds the old key goes on.
    pub grace_millis: i64,
    /// The versions of it that this is meant for.
    #[serde(default)]
    pub expected: Expected,
}

impl Command for CreateKeys {
    type Answer = Vec<NewKey>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Vec<NewKey>> {
        Box::pin(async move {
            let Self { application, plan, count } = self;
            check_name(&application)?;
            if !(1..=CREATED_MAX).contains(&count) {
                return Err(failure(
                    format!("{count} keys cannot be issued at once"),
                    "ask for 1 to 1000000",
                ));
            }
            let plan = engine.plan_of_new_keys(&application, plan).await?;
            let mut issued = Vec::new();
            while issued.len() < count as usize {
                let left = count - u32::try_from(issued.len()).unwrap_or(count);
                let keys: Vec<_> =
                    (0..left.min(CREATED_AT_ONCE)).map(|_| engine.new_key(&plan)).collect();
                let new = NewKeys {
                    application: application.clone(),
                    plan: plan.clone(),
                    keys: keys.iter().map(|(_, row)| row.clone()).collect(),
                };
                engine.store.create_keys(new, by.actor().clone()).await?;
                issued.extend(keys.into_iter().map(|(text, row)| NewKey {
                    id: row.id.to_string(),
                    key: text.expose().to_owned(),
                    application: application.clone(),
                    plan: plan.clone(),
                    example: None,
                }));
            }
            if let Some(first) = issued.first_mut() {
                first.example = engine.example_call(&plan, &first.key, Wanted::Read);
            }
            Ok(issued)
        })
    }
}

impl Command for RollKey {
    type Answer = NewKey;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, NewKey> {
        Box::pin(async move {
            let grace = checked_length(self.grace_millis)?;
            let edit = KeyEdit {
                key: engine.key_ref(&self.key),
                expected: self.expected,
                actor: by.actor().clone(),
            };
            // The store gives it the plan that the old key has at that moment.
            let (text, row) = engine.new_key("");
            let id = row.id.to_string();
            let rolled = engine.store.roll_key(edit, Successor { key: row, grace }).await;
            let old = rolled.map_err(key_failure)?;
            Ok(NewKey {
                id,
                example: engine.example_call(&old.plan, text.expose(), Wanted::Read),
                key: text.expose().to_owned(),
                application: old.application,
                plan: old.plan,
            })
        })
    }
}

impl Engine {
    pub(super) async fn plan_of_new_keys(
        &self,
        application: &str,
        plan: Option<String>,
    ) -> Result<String, Failure> {
        if let Some(plan) = plan {
            self.check_plan(&plan)?;
            return Ok(plan);
        }
        let known = self.store.application(application.to_owned()).await;
        known.map(|known| known.plan).map_err(|error| match error {
            Error::Missing(_) => {
                failure(format!("the application {application} is new"), advice::SAY_PLAN)
            }
            other => other.into(),
        })
    }

    /// Whether keys can be on a plan.
    pub(crate) fn check_plan(&self, plan: &str) -> Result<(), Failure> {
        let policy = self.policy();
        // Without a configuration nobody knows the plans: the data directory was named directly.
        if policy.plans().next().is_none() {
            return Ok(());
        }
        if policy.plan(plan).is_some_and(|plan| !plan.spec().is_keyless) {
            return Ok(());
        }
        let mut names: Vec<_> = policy
            .plans()
            .filter(|plan| !plan.spec().is_keyless)
            .map(|plan| plan.name().to_owned())
            .collect();
        names.sort();
        let help = format!("the plans for keys are: {}", names.join(", "));
        Err(failure(format!("there is no plan {plan} for keys"), &help))
    }

    fn new_key(&self, plan: &str) -> (KeyText, NewKeyRow) {
        let text = KeyText::from_random(&self.settings.load().key_prefix, keystile_store::random());
        let row = NewKeyRow {
            id: KeyId::new(Uuid::now_v7()),
            hash: self.store.pepper().hash(text.expose().as_bytes()),
            prefix: text.display_prefix().to_owned(),
            plan: plan.to_owned(),
            origin: None,
        };
        (text, row)
    }
}

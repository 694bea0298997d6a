//! What an account has that nothing here stands for.
//!
//! Each entry is one sentence that says what is missing and what to do instead, so that nobody learns of it from
//! their callers.

use std::collections::BTreeSet;

use keystile_core::text::printable;
use serde_json::Value;

use super::snapshot::Snapshot;
use crate::portal::records::{ApplicationState, Authentication};

/// The policy by which a gateway asks the backend, which every chain has.
const OWN_POLICY: &str = "apicast";

/// What is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    features: u64,
    pricing_rules: u64,
    pending: u64,
    oidc: BTreeSet<String>,
    policies: BTreeSet<String>,
    without_configuration: BTreeSet<String>,
}

impl Lost {
    /// What is lost of an account.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut lost = Self::default();
        for one in &snapshot.services {
            let name = printable(&one.service.name).into_owned();
            lost.features = lost.features.saturating_add(one.features);
            let pricing = one.plans.iter().map(|plan| plan.pricing_rules);
            lost.pricing_rules = pricing.fold(lost.pricing_rules, u64::saturating_add);
            if one.service.authentication == Authentication::OpenIdConnect {
                lost.oidc.insert(name.clone());
            }
            match one.gateway_content() {
                Some(content) => {
                    let chain = content.proxy("policy_chain").and_then(Value::as_array);
                    let names = chain.into_iter().flatten().filter_map(|policy| {
                        policy.get("name")?.as_str().filter(|name| *name != OWN_POLICY)
                    });
                    lost.policies.extend(names.map(|name| printable(name).into_owned()));
                }
                None => {
                    lost.without_configuration.insert(name);
                }
            }
        }
        let pending = snapshot
            .applications
            .iter()
            .filter(|one| one.application.state == ApplicationState::Pending);
        lost.pending = u64::try_from(pending.count()).unwrap_or(u64::MAX);
        lost
    }

    /// Each in a sentence.
    pub fn sentences(&self) -> Vec<String> {
        let list = |names: &BTreeSet<String>| {
            names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        let counted = [
            (
                self.features,
                "features of services and plans: people read them, and no call depends on one",
            ),
            (self.pricing_rules, "pricing rules: Keystile bills nobody"),
            (self.pending, "applications wait to be accepted there: they come over suspended"),
        ];
        let mut sentences: Vec<String> = counted
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}."))
            .collect();
        if !self.oidc.is_empty() {
            sentences.push(format!(
                "Tokens of identity providers, for {}: a gateway such as APIcast has to check them, and ask with \
                 the `app_id`.",
                list(&self.oidc)
            ));
        }
        if !self.policies.is_empty() {
            sentences.push(format!(
                "Policies of gateways ({}): APIcast gets them with its configuration; Keystile's own gate does \
                 nothing of what they do.",
                list(&self.policies)
            ));
        }
        if !self.without_configuration.is_empty() {
            sentences.push(format!(
                "Hosts and rules of {}: nothing was promoted to its gateways there, so none can boot from here.",
                list(&self.without_configuration)
            ));
        }
        sentences.push(
            "The provider key: the portal does not show it. Clients that show one need a service token, or \
             `PUT /internal/services/ID` with the key."
                .to_owned(),
        );
        sentences.push(
            "Users of the developer portal, their passwords, messages, invoices, and what was used before."
                .to_owned(),
        );
        sentences
    }
}

//! Whether an account can be driven as it is set up, and what its settings miss.

use http::header::AUTHORIZATION;
use keystile_engine::Engine;
use keystile_engine::findings::{Finding, FindingLevel};
use keystile_engine::keys::source::HintView;

use crate::drive::account::{DrivenAccount, words};
use crate::drive::settings::OnLock;
use crate::portal::error::PortalError;
use crate::portal::page::PageNumber;
use crate::portal::records::{Authentication, Service};

impl DrivenAccount {
    /// What was looked at, and how it is. The portal is asked for its services, plans, applications and
    /// tokens; nothing is changed.
    pub(super) async fn findings(&self, engine: &Engine) -> Vec<Finding> {
        let services = match self.client.services().await {
            Ok(services) => services,
            Err(error) => {
                let in_doubt = self.keys_in_doubt(engine).await;
                return [self.refused(&error)].into_iter().chain(in_doubt).collect();
            }
        };
        let wanted = self.settings.service;
        let Some(service) = services.iter().find(|service| service.id == wanted) else {
            let seen: Vec<_> = services
                .iter()
                .map(|service| format!("{} ({})", service.id, service.name))
                .collect();
            let help = format!("the token's user sees: {}", seen.join(", "));
            let message = format!("service {wanted} cannot be seen there");
            return vec![self.finding(FindingLevel::Problem, message, Some(help))];
        };
        let mut findings = vec![self.authentication_finding(service)];
        findings.extend(self.reading_pairs(engine, service));
        findings.extend(self.keys_in_doubt(engine).await);
        match self.client.applications(Some(wanted), PageNumber::FIRST).await {
            Ok(_) => findings.push(self.good("the token may read applications".to_owned())),
            Err(error) => findings.push(self.refused(&error)),
        }
        findings.push(self.looking_up());
        findings.push(self.writing().await);
        findings.extend(self.webhooks(engine));
        match self.client.application_plans(wanted).await {
            Ok(plans) => {
                let names: Vec<_> = plans.into_iter().map(|plan| plan.name).collect();
                findings.extend(self.plan_of_locks(&names));
                findings.extend(self.mapping(engine, &names));
            }
            Err(error) => findings.push(self.refused(&error)),
        }
        findings.extend(self.usage_findings().await);
        findings
    }

    fn authentication_finding(&self, service: &Service) -> Finding {
        let name = &service.name;
        match service.authentication {
            Authentication::UserKey => self.good(format!("{name} goes by user keys")),
            Authentication::AppId => self.good(format!("{name} goes by app_id and app_key")),
            Authentication::OpenIdConnect | Authentication::Unknown => self.finding(
                FindingLevel::Problem,
                format!("the applications of {name} do not authenticate by keys"),
                Some(
                    "choose a service that goes by user keys, or by app_id and app_key".to_owned(),
                ),
            ),
        }
    }

    /// Whether the gate reads keys as callers of the service send them, where they come in two parts.
    fn reading_pairs(&self, engine: &Engine, service: &Service) -> Option<Finding> {
        let policy = engine.policy();
        let reads_none = policy.apis().iter().all(|api| {
            let rule = &api.spec().credential;
            rule.pair.is_none() && rule.header != AUTHORIZATION
        });
        let is_missed = service.authentication == Authentication::AppId
            && !policy.apis().is_empty()
            && reads_none;
        is_missed.then(|| {
            let message = "no API here reads keys in two parts: its callers are refused".to_owned();
            let help =
                "write it into the API, as key_pair = { id = \"app_id\", secret = \"app_key\" }";
            self.finding(FindingLevel::Problem, message, Some(help.to_owned()))
        })
    }

    /// Until when its keys work here, where it cannot be read.
    async fn keys_in_doubt(&self, engine: &Engine) -> Option<Finding> {
        let note = self.documents.note(engine).await.ok()?;
        let (since, until) = (note.failing_since?, self.keys_work_until(&note)?);
        let message = format!(
            "it could not be read since {}: its keys work here until {}",
            since.readable(),
            until.readable()
        );
        let help = "see why with `keystile threescale status`; `keep_known` says how long that is";
        Some(self.finding(FindingLevel::Warning, message, Some(help.to_owned())))
    }

    fn looking_up(&self) -> Finding {
        self.good(match self.settings.look_ups.per_second {
            0 => "keys that are unknown here are not looked up there".to_owned(),
            1 => "one key a second that is unknown here is looked up there".to_owned(),
            most => format!("up to {most} keys a second that are unknown here are looked up there"),
        })
    }

    /// Whether the plan is there that a lock here asks for.
    fn plan_of_locks(&self, there: &[String]) -> Option<Finding> {
        let OnLock::ChangePlan(name) = &self.settings.on_lock else {
            return None;
        };
        if there.contains(name) {
            return Some(self.good(format!("the plan {name:?}, for locks here, is there")));
        }
        let message = format!("there is no plan {name:?} there: locks here cannot be followed");
        let help = format!("name one of these in `on_lock`: {}", there.join(", "));
        Some(self.finding(FindingLevel::Problem, message, Some(help)))
    }

    /// Whether the token may do what a lock here asks for. The portal does not say which of a user's tokens it is.
    async fn writing(&self) -> Finding {
        let may = match &self.settings.on_lock {
            OnLock::Suspend => "suspend and resume applications",
            OnLock::ChangePlan(_) => "put applications on another plan",
            OnLock::Nothing => return self.good("locks here ask for nothing there".to_owned()),
        };
        let tokens = match self.client.access_tokens().await {
            Ok(tokens) => tokens,
            Err(error) => return self.refused(&error),
        };
        let able = tokens.iter().filter(|token| token.may_manage_accounts()).count();
        let help = "make one with the scope `account_management` and \"Read & Write\"";
        if able == 0 {
            let message = "the token may not write there: locks here cannot be followed".to_owned();
            self.finding(FindingLevel::Problem, message, Some(help.to_owned()))
        } else if able == tokens.len() {
            self.good(format!("the token may {may}"))
        } else {
            let message = format!(
                "{able} of the user's {} tokens may {may}, and the portal does not say which of them \
                 this is",
                tokens.len()
            );
            self.finding(FindingLevel::Warning, message, Some(help.to_owned()))
        }
    }

    /// Where the portal is to send webhooks, and whether the secret in that address can be used.
    fn webhooks(&self, engine: &Engine) -> Option<Finding> {
        let HintView { address, secret, problem, .. } = self.hint_view(engine)?;
        Some(match problem {
            None => self.good(format!(
                "webhooks are taken at {address}SECRET, where SECRET is what {secret} holds"
            )),
            Some(problem) => {
                let help = "make one with `openssl rand -hex 32`";
                self.finding(FindingLevel::Problem, problem, Some(help.to_owned()))
            }
        })
    }

    /// What the mapping of plans misses.
    fn mapping(&self, engine: &Engine, there: &[String]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (plans, default) = (&self.settings.plans, self.settings.default_plan.as_ref());
        let policy = engine.policy();
        let mut here: Vec<_> = plans.values().chain(default).collect();
        here.sort();
        here.dedup();
        if policy.plans().next().is_some() {
            let lost = here.iter().filter(|plan| policy.plan(plan).is_none());
            findings.extend(lost.map(|plan| {
                let help = "write it into the configuration, or name another one";
                let message = format!("there is no plan {plan} here");
                self.finding(FindingLevel::Problem, message, Some(help.to_owned()))
            }));
        }
        let stray = plans.keys().filter(|name| !there.contains(name));
        findings.extend(stray.map(|name| {
            let help = format!("the plans there are: {}", there.join(", "));
            self.finding(
                FindingLevel::Warning,
                format!("there is no plan {name:?} there"),
                Some(help),
            )
        }));
        if default.is_none() {
            let unnamed = there.iter().filter(|name| !plans.contains_key(*name));
            findings.extend(unnamed.map(|name| {
                let help = "name it in `plans`, or set `default_plan`";
                let message = format!(
                    "the plan {name:?} there stands for no plan here: its applications stay there"
                );
                self.finding(FindingLevel::Warning, message, Some(help.to_owned()))
            }));
        }
        if findings.is_empty() {
            findings.push(self.good("every plan there stands for a plan here".to_owned()));
        }
        findings
    }

    fn refused(&self, error: &PortalError) -> Finding {
        self.finding(FindingLevel::Problem, words(error), None)
    }

    pub(super) fn good(&self, message: String) -> Finding {
        self.finding(FindingLevel::Good, message, None)
    }

    pub(super) fn finding(
        &self,
        level: FindingLevel,
        message: String,
        help: Option<String>,
    ) -> Finding {
        Finding { level, subject: self.name.clone(), message, help }
    }
}

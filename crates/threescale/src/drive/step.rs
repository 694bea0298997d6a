//! Carrying out what an application in 3scale asks for here.

use std::sync::Arc;

use keystile_core::keys::imported::ImportedText;
use keystile_core::version::Expected;
use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::application::ShowApplication;
use keystile_engine::keys::edit::RevokeKey;
use keystile_engine::keys::import::ImportKey;
use keystile_engine::keys::key::ShowKey;
use keystile_engine::keys::source::SyncMode;
use keystile_store::key_cache::KeyEntry;

use crate::drive::account::DrivenAccount;
use crate::drive::compare::{Step, access, is_plan_of_lock, plan_step, steps};
use crate::drive::inherit::Ended;
use crate::drive::link::{Access, Link, Suspension};
use crate::drive::name::names;
use crate::drive::report::Report;
use crate::portal::records::{Application, ApplicationId, Credential};

/// A key that was brought over, or why it was not.
enum Taken {
    Key { id: String, application: String },
    NotPossible(String),
}

impl DrivenAccount {
    /// Brings an application over, or follows what changed of it. Fails when the portal or the store does;
    /// what cannot be done with this one alone is in the report.
    pub(super) async fn follow(
        &self,
        engine: &Arc<Engine>,
        application: &Application,
        keys: &[Credential],
        report: &mut Report,
    ) -> Result<(), Failure> {
        let plan = self.plan_of(application);
        let turn = self.looked_up.lock().await;
        if turn.contains(&application.id) {
            report.unchanged();
            return Ok(());
        }
        let Some(link) = self.link(engine, application.id).await? else {
            if access(application) == Access::Barred {
                report.unchanged();
                return Ok(());
            }
            return self.bring_over(engine, application, keys, report).await;
        };
        let known: Vec<_> = keys
            .iter()
            .map(|key| known_key(engine, key).map(|entry| entry.id.to_string()))
            .collect();
        let plan = plan.filter(|_| !is_plan_of_lock(&link, application.plan));
        let mut steps = steps(&link, access(application), plan.as_deref(), &known);
        steps.extend(plan_step(&link, application.plan));
        if steps.is_empty() {
            report.unchanged();
        }
        let about = (application.id, &link);
        let (asking, others): (Vec<_>, _) = steps.into_iter().partition(Step::asks_again);
        for step in others {
            self.take_or_say(engine, about, step, keys, report).await?;
        }
        // No look-up has to wait for the portal.
        drop(turn);
        for step in asking {
            self.take_or_say(engine, about, step, keys, report).await?;
        }
        Ok(())
    }

    async fn take_or_say(
        &self,
        engine: &Arc<Engine>,
        about: (ApplicationId, &Link),
        step: Step,
        keys: &[Credential],
        report: &mut Report,
    ) -> Result<(), Failure> {
        match report.mode() {
            SyncMode::DryRun => {
                report.change(would(&step, about.1));
                Ok(())
            }
            SyncMode::Apply => self.take(engine, about, step, keys, report).await,
        }
    }

    /// The plan here that its plan there stands for.
    pub(super) fn plan_of(&self, application: &Application) -> Option<String> {
        let named = application.plan_name.as_ref().and_then(|name| self.settings.plans.get(name));
        named.or(self.settings.default_plan.as_ref()).cloned()
    }

    /// Brings an application over that is new here. `looked_up` is to be held.
    pub(super) async fn bring_over(
        &self,
        engine: &Arc<Engine>,
        application: &Application,
        keys: &[Credential],
        report: &mut Report,
    ) -> Result<(), Failure> {
        let [name, numbered] = names(application);
        let Some(plan) = self.plan_of(application) else {
            let there = application.plan_name.as_deref().unwrap_or_default();
            report.problem(format!("{name}: its plan {there:?} there stands for no plan here."));
            return Ok(());
        };
        if report.mode() == SyncMode::DryRun {
            let count = keys.len();
            report.change(format!("{name} would come over on the plan {plan}, with {count} keys."));
            return Ok(());
        }
        let home = self.home_of(engine, keys, [&name, &numbered]).await?;
        let Some(mut home) = home else {
            report.problem(format!("{numbered}: an application here has its name."));
            return Ok(());
        };
        let (mut taken, mut is_created) = (Vec::new(), false);
        for key in keys {
            match self.take_key(engine, key, &home, &plan).await? {
                Taken::Key { id, application } => {
                    taken.push(id);
                    home = application;
                    is_created = true;
                }
                Taken::NotPossible(why) => report.problem(format!("{name}: {why}.")),
            }
        }
        if !is_created {
            if keys.is_empty() {
                report.problem(format!("{name}: {}.", no_key(application)));
            }
            return Ok(());
        }
        let shown =
            engine.execute(&self.principal(), ShowApplication { application: home }).await?;
        let count = taken.len();
        report.change(format!("{} came over on the plan {plan}, with {count} keys.", shown.name));
        let link = Link {
            application: shown.id,
            name: shown.name,
            keys: taken,
            plan,
            access: Access::Allowed,
            suspension: Suspension::NotOurs,
            lock: None,
        };
        self.add_link(engine, application.id, link).await
    }

    /// The name of the application here: where one of the keys is already, after a crash, or one that is free.
    async fn home_of(
        &self,
        engine: &Arc<Engine>,
        keys: &[Credential],
        names: [&str; 2],
    ) -> Result<Option<String>, Failure> {
        for key in keys {
            if known_key(engine, key).is_some()
                && let Some(shown) = self.own_key(engine, key).await?
            {
                return Ok(Some(shown));
            }
        }
        for name in names {
            let show = ShowApplication { application: name.to_owned() };
            match engine.execute(&self.principal(), show).await {
                Ok(_) => {}
                Err(failure) if failure.kind == FailureKind::Missing => {
                    return Ok(Some(name.to_owned()));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    /// The name of the application that a key here belongs to, where this account brought it over, it works,
    /// and no link has it.
    async fn own_key(
        &self,
        engine: &Arc<Engine>,
        key: &Credential,
    ) -> Result<Option<String>, Failure> {
        let show = ShowKey { key: key.reveal().to_owned() };
        let shown = engine.execute(&self.principal(), show).await?.key;
        let is_linked =
            self.links(engine).await?.values().any(|link| link.keys.contains(&shown.id));
        let is_own = shown.origin.as_deref() == Some(self.name.as_str());
        Ok((is_own && shown.state != "revoked" && !is_linked).then_some(shown.application))
    }

    async fn take_key(
        &self,
        engine: &Arc<Engine>,
        key: &Credential,
        application: &str,
        plan: &str,
    ) -> Result<Taken, Failure> {
        let text = match key.reveal().parse::<ImportedText>() {
            Ok(text) => text,
            Err(error) => return Ok(Taken::NotPossible(format!("its key stays there: {error}"))),
        };
        if let Some(entry) = known_key(engine, key) {
            return Ok(match self.own_key(engine, key).await? {
                Some(home) if home == application => {
                    Taken::Key { id: entry.id.to_string(), application: home }
                }
                Some(_) | None => Taken::NotPossible(format!(
                    "one of its keys is known here already, as one of {}, or was revoked",
                    entry.application.name
                )),
            });
        }
        let import = ImportKey {
            application: application.to_owned(),
            plan: Some(plan.to_owned()),
            text,
            origin: self.name.clone(),
            name: None,
        };
        match engine.execute(&self.principal(), import).await {
            Ok(edited) => Ok(Taken::Key { id: edited.now.id, application: edited.now.application }),
            Err(failure) => Ok(Taken::NotPossible(of_this_one(failure)?)),
        }
    }

    /// Brings a key over that is new at an application. `looked_up` is to be held.
    pub(super) async fn import(
        &self,
        engine: &Arc<Engine>,
        (id, link): (ApplicationId, &Link),
        key: &Credential,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let name = &link.name;
        match self.take_key(engine, key, name, &link.plan).await? {
            Taken::Key { id: key, .. } => {
                self.inherit_locks(engine, &link.keys, &key).await?;
                self.change_link(engine, id, None, |link| link.keys.push(key)).await?;
                report.change(format!("{name} has another key."));
            }
            Taken::NotPossible(why) => report.problem(format!("{name}: {why}.")),
        }
        Ok(())
    }

    /// Revokes the keys of an application that is gone there.
    pub(super) async fn let_go(
        &self,
        engine: &Arc<Engine>,
        id: ApplicationId,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let Some(link) = self.link(engine, id).await? else {
            return Ok(());
        };
        let count = link.keys.len();
        if report.mode() == SyncMode::DryRun {
            report
                .change(format!("{} is gone there: its {count} keys would be revoked.", link.name));
            return Ok(());
        }
        for key in &link.keys {
            self.revoke(engine, key).await?;
        }
        self.remove_link(engine, id).await?;
        report.change(format!("{} is gone there: its {count} keys are revoked.", link.name));
        Ok(())
    }

    /// Revokes a key that is gone there, unless its lock would go with it.
    async fn end_key(
        &self,
        engine: &Arc<Engine>,
        (id, name): (ApplicationId, &str),
        key: String,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let link = self.link(engine, id).await?;
        let mut others = link.map_or_else(Vec::new, |link| link.keys);
        others.retain(|other| *other != key);
        if let Ended::Kept = self.leave_lock(engine, &key, &others).await? {
            report.problem(format!(
                "{name}: its last key is gone there and locked here; it stays locked until another comes."
            ));
            return Ok(());
        }
        self.revoke(engine, &key).await?;
        self.change_link(engine, id, None, |link| link.keys.retain(|kept| *kept != key)).await?;
        report.change(format!("A key of {name} is gone there, and is revoked."));
        Ok(())
    }

    async fn revoke(&self, engine: &Arc<Engine>, key: &str) -> Result<(), Failure> {
        let revoke = RevokeKey { key: key.to_owned(), expected: Expected::default() };
        match engine.execute(&self.principal(), revoke).await {
            Ok(_) => Ok(()),
            Err(failure) => of_this_one(failure).map(drop),
        }
    }

    async fn take(
        &self,
        engine: &Arc<Engine>,
        (id, link): (ApplicationId, &Link),
        step: Step,
        keys: &[Credential],
        report: &mut Report,
    ) -> Result<(), Failure> {
        let name = &link.name;
        match step {
            Step::Import { place } => {
                if let Some(key) = keys.get(place) {
                    self.import(engine, (id, link), key, report).await?;
                }
            }
            Step::Revoke { key } => self.end_key(engine, (id, name), key, report).await?,
            Step::ChangePlan { .. } | Step::NoteOtherPlan => {
                self.follow_plan(engine, id, report).await?;
            }
            Step::Suspend | Step::Resume | Step::NoteOverruled => {
                self.follow_access(engine, id, report).await?;
            }
        }
        Ok(())
    }
}

/// The key here that has this text.
pub(super) fn known_key(engine: &Engine, key: &Credential) -> Option<Arc<KeyEntry>> {
    let store = engine.store();
    store.keys().find(&store.pepper().hash(key.reveal().as_bytes()))
}

/// Why something cannot be done with one application. What concerns them all is a failure.
pub(super) fn of_this_one(failure: Failure) -> Result<String, Failure> {
    match failure.kind {
        FailureKind::Invalid
        | FailureKind::Missing
        | FailureKind::Conflict
        | FailureKind::Stale => Ok(failure.message),
        FailureKind::Forbidden | FailureKind::Unavailable | FailureKind::Fault => Err(failure),
    }
}

/// What a step would do.
fn would(step: &Step, link: &Link) -> String {
    let name = &link.name;
    match step {
        Step::Import { .. } => format!("{name} would get another key."),
        Step::Revoke { .. } => format!("A key of {name} is gone there, and would be revoked."),
        Step::ChangePlan { plan } => format!("{name} would be put on the plan {plan}."),
        Step::Suspend => format!("{name} may not call there, and would be suspended here."),
        Step::Resume => format!("{name} may call there again, and would be resumed here."),
        Step::NoteOverruled => format!("{name} was resumed in 3scale, and stays locked here."),
        Step::NoteOtherPlan => {
            format!("{name} was put on another plan in 3scale, and stays locked here.")
        }
    }
}

/// Why an application without a key stays there.
fn no_key(application: &Application) -> &'static str {
    match &application.app_id {
        Some(app_id) if app_id.contains(':') => {
            "its app_id holds a colon, so that its keys could be mistaken for others"
        }
        Some(_) => "it has no app_key there, and its app_id alone is no secret, so it stays there",
        None => "it has no key there",
    }
}

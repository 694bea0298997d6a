//! Following the plan of an application in 3scale.

use std::sync::Arc;

use keystile_core::version::Expected;
use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_engine::keys::application_edit::ChangeApplicationPlan;
use keystile_store::audit::EventKind;

use crate::drive::account::{DrivenAccount, failure};
use crate::drive::compare::{is_plan_of_lock, plan_step};
use crate::drive::link::{Link, Standing};
use crate::drive::report::Report;
use crate::drive::step::of_this_one;
use crate::portal::ApplicationReference;
use crate::portal::records::ApplicationId;

impl DrivenAccount {
    /// Follows the plan there as it is at this moment: the list may be older than what a lock asked of 3scale
    /// since.
    pub(super) async fn follow_plan(
        &self,
        engine: &Arc<Engine>,
        id: ApplicationId,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let _turn = self.changing.lock().await;
        let found = self.client.find_application(&ApplicationReference::Id(id), None).await;
        let found = found.map_err(|error| failure(&error))?;
        let Some(link) = self.link(engine, id).await? else {
            return Ok(());
        };
        if is_plan_of_lock(&link, found.plan) {
            return Ok(());
        }
        if plan_step(&link, found.plan).is_some() {
            self.note_other_plan(engine, (id, &link), report).await?;
        }
        match self.plan_of(&found).filter(|plan| *plan != link.plan) {
            Some(plan) => self.change_plan_here(engine, (id, &link), plan, report).await,
            None => Ok(()),
        }
    }

    async fn note_other_plan(
        &self,
        engine: &Arc<Engine>,
        (id, link): (ApplicationId, &Link),
        report: &mut Report,
    ) -> Result<(), Failure> {
        let said =
            format!("{} was put on another plan in 3scale, and stays locked here.", link.name);
        report.change(said.clone());
        let (event, now) = (self.event(EventKind::KeySourceProblem, said), engine.store().now());
        self.change_link(engine, id, Some(event), |link| {
            link.lock = link.lock.as_ref().map(|lock| lock.at(Standing::Overruled, now));
        })
        .await
    }

    async fn change_plan_here(
        &self,
        engine: &Arc<Engine>,
        (id, link): (ApplicationId, &Link),
        plan: String,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let name = &link.name;
        let change = ChangeApplicationPlan {
            application: link.application.clone(),
            plan: plan.clone(),
            expected: Expected::default(),
        };
        match engine.execute(&self.principal(), change).await {
            Ok(_) => {
                report.change(format!("{name} is on the plan {plan}."));
                self.change_link(engine, id, None, |link| link.plan = plan).await
            }
            Err(failure) => {
                report.problem(format!("{name}: {}.", of_this_one(failure)?));
                Ok(())
            }
        }
    }
}

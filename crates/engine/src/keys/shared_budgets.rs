//! Budgets that several keys share: those of an application, and those of a plan.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use keystile_core::policy::Plan;
use keystile_store::applications::ApplicationRow;
use serde::{Deserialize, Serialize};

use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;
use crate::keys::key::BudgetView;

/// Keys of an application can be on plans of their own; the budgets of more plans than this are not shown.
const PLANS_SHOWN: u32 = 20;

/// A budget that several keys share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SharedBudgetView {
    /// The plan that it belongs to.
    pub plan: String,
    /// The budget.
    #[serde(flatten)]
    pub budget: BudgetView,
}

/// The budgets that an application's keys share, among themselves or with others on their plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListApplicationBudgets {
    /// Its name or id.
    pub application: String,
}

/// The budgets that all keys of a plan share, of every plan that has such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPlanBudgets;

impl Command for ListApplicationBudgets {
    type Answer = Vec<SharedBudgetView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Self::Answer> {
        Box::pin(async move {
            let row = engine.application_row(self.application).await?;
            engine.shared_budgets(&row).await
        })
    }
}

impl Command for ListPlanBudgets {
    type Answer = Vec<SharedBudgetView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Self::Answer> {
        Box::pin(async move {
            let policy = engine.policy();
            let mut plans: Vec<Arc<Plan>> = policy.plans().cloned().collect();
            plans.sort_by(|a, b| a.name().cmp(b.name()));
            let mut budgets = Vec::new();
            for plan in plans {
                let counted = engine.store.plan_budgets(policy.clone(), plan.clone()).await?;
                budgets.extend(counted.into_iter().map(|budget| shared(&plan, budget.into())));
            }
            Ok(budgets)
        })
    }
}

fn shared(plan: &Plan, budget: BudgetView) -> SharedBudgetView {
    SharedBudgetView { plan: plan.name().to_owned(), budget }
}

impl Engine {
    /// The budgets that an application's keys share: those of its plan, and of other plans that keys of it are on.
    pub(super) async fn shared_budgets(
        &self,
        application: &ApplicationRow,
    ) -> Result<Vec<SharedBudgetView>, Failure> {
        let policy = self.policy();
        let mut plans = vec![application.plan.clone()];
        let others = self.store.plans_of_application(application.row, PLANS_SHOWN).await?;
        plans.extend(others.into_iter().filter(|plan| *plan != application.plan));
        let mut budgets = Vec::new();
        for plan in plans.iter().filter_map(|name| policy.plan(name)) {
            let row = application.row;
            let counted = self.store.application_budgets(row, policy.clone(), plan.clone()).await?;
            budgets.extend(counted.into_iter().map(|budget| shared(plan, budget.into())));
        }
        Ok(budgets)
    }
}

//! What can be changed in the portal: whether an application may call, and by which plan.
//!
//! Each change looks first and asks only for what is not so yet, so that it can be repeated when an answer
//! was lost on the way.

use super::client::{ApplicationReference, PortalClient};
use super::error::PortalError;
use super::records::{Application, ApplicationId, ApplicationPlan, ApplicationState, PlanId};

/// Whether something was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// By this call.
    Made,
    /// It was so already, or the application is in a state without this change.
    NotNeeded,
}

/// An application after a change of its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// As it is now.
    pub application: Application,
    /// Whether this call made it so.
    pub change: Change,
}

#[derive(Clone, Copy)]
enum Event {
    Suspend,
    Resume,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }

    /// The only state that the portal changes by it.
    fn from(self) -> ApplicationState {
        match self {
            Self::Suspend => ApplicationState::Live,
            Self::Resume => ApplicationState::Suspended,
        }
    }
}

impl PortalClient {
    /// Suspends an application that is live. One that is not stays as it is, which is no error: it may not
    /// call, or not yet. 3scale may go on to accept its calls for up to a minute, and its gateways for as
    /// long as they cache.
    ///
    /// Fails with `NotFound` when it is deleted.
    pub async fn suspend(&self, application: ApplicationId) -> Result<Transition, PortalError> {
        self.transition(application, Event::Suspend).await
    }

    /// Lets an application call again that is suspended. One that is not stays as it is, which is no error:
    /// `Transition::application` has its state.
    ///
    /// Fails with `NotFound` when it is deleted.
    pub async fn resume(&self, application: ApplicationId) -> Result<Transition, PortalError> {
        self.transition(application, Event::Resume).await
    }

    async fn transition(&self, id: ApplicationId, event: Event) -> Result<Transition, PortalError> {
        let reference = ApplicationReference::Id(id);
        let found = self.find_application(&reference, None).await?;
        if found.state != event.from() {
            return Ok(Transition { application: found, change: Change::NotNeeded });
        }
        let (account, event_name) = (found.account, event.name());
        let path = format!("accounts/{account}/applications/{id}/{event_name}.json");
        match self.change(&path, &[]).await {
            Ok(document) => {
                let application = document.one("application")?;
                Ok(Transition { application, change: Change::Made })
            }
            // Somebody else was quicker, or the portal has a reason of its own.
            Err(error @ PortalError::InvalidTransition { .. }) => {
                let found = self.find_application(&reference, None).await?;
                if found.state == event.from() {
                    return Err(error);
                }
                Ok(Transition { application: found, change: Change::NotNeeded })
            }
            Err(error) => Err(error),
        }
    }

    /// Puts an application on another plan of its service, and gives the plan that it has now. Fails with
    /// `InvalidTransition` when the plan is another service's.
    pub async fn change_plan(
        &self,
        application: ApplicationId,
        plan: PlanId,
    ) -> Result<ApplicationPlan, PortalError> {
        let reference = ApplicationReference::Id(application);
        let account = self.find_application(&reference, None).await?.account;
        let path = format!("accounts/{account}/applications/{application}/change_plan.json");
        let form = [("plan_id", plan.to_string())];
        self.change(&path, &form).await?.one("application_plan")
    }
}

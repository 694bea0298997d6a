//! Following whether an application may call in 3scale.

use std::sync::Arc;

use keystile_core::keys::application::ApplicationState;
use keystile_core::version::Expected;
use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_engine::keys::application::{
    ApplicationView, ShowApplication, ShowApplicationWithKeys,
};
use keystile_engine::keys::application_edit::{SetApplicationNote, SetApplicationState};
use keystile_store::audit::EventKind;

use crate::drive::account::{DrivenAccount, failure};
use crate::drive::compare::{Step, access, access_step};
use crate::drive::link::{Access, Link, Standing, Suspension};
use crate::drive::report::Report;
use crate::portal::ApplicationReference;
use crate::portal::records::ApplicationId;

impl DrivenAccount {
    /// Follows whether an application may call there, as it is at this moment: the list may be older than what
    /// was asked of 3scale since.
    pub(super) async fn follow_access(
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
        match access_step(&link, access(&found)) {
            Some(Step::Suspend) => self.suspend_here(engine, (id, &link), report).await,
            Some(Step::Resume) => self.resume_here(engine, (id, &link), report).await,
            Some(Step::NoteOverruled) => {
                let said = format!("{} was resumed in 3scale, and stays locked here.", link.name);
                report.change(said.clone());
                let (event, now) =
                    (self.event(EventKind::KeySourceProblem, said), engine.store().now());
                let overrule = |link: &mut Link| {
                    if let Some(lock) = &mut link.lock {
                        (lock.standing, lock.since, lock.next) = (Standing::Overruled, now, None);
                    }
                };
                self.change_link(engine, id, Some(event), overrule).await
            }
            Some(
                Step::Import { .. }
                | Step::Revoke { .. }
                | Step::ChangePlan { .. }
                | Step::NoteOtherPlan,
            )
            | None => Ok(()),
        }
    }

    async fn suspend_here(
        &self,
        engine: &Arc<Engine>,
        (id, link): (ApplicationId, &Link),
        report: &mut Report,
    ) -> Result<(), Failure> {
        let here = self.application_here(engine, link).await?;
        let mut suspension = Suspension::NotOurs;
        if here.state == ApplicationState::Active {
            self.set_state(engine, link, ApplicationState::Suspended).await?;
            suspension = Suspension::Followed;
            if here.note.is_none() {
                self.set_note(engine, link, &self.suspension_note()).await?;
            }
        }
        report.change(format!("{} may not call there, and is suspended here.", link.name));
        let follow = |link: &mut Link| {
            (link.access, link.suspension) = (Access::Barred, suspension);
        };
        self.change_link(engine, id, None, follow).await
    }

    async fn resume_here(
        &self,
        engine: &Arc<Engine>,
        (id, link): (ApplicationId, &Link),
        report: &mut Report,
    ) -> Result<(), Failure> {
        let show = ShowApplicationWithKeys { application: link.application.clone() };
        let here = engine.execute(&self.principal(), show).await?;
        let name = &link.name;
        if link.suspension == Suspension::Followed {
            if here.application.state == ApplicationState::Suspended {
                self.set_state(engine, link, ApplicationState::Active).await?;
            }
            if here.application.note == Some(self.suspension_note()) {
                self.set_note(engine, link, "").await?;
            }
            report.change(format!("{name} may call there again, and is resumed here."));
        } else if here.application.state == ApplicationState::Suspended {
            report.change(format!(
                "{name} may call there again; its suspension here is not 3scale's, and stays."
            ));
        } else {
            report.change(format!("{name} may call there again."));
        }
        let locked = here.keys_list.iter().filter(|key| key.lock.is_some()).count();
        let mut event = None;
        if locked > 0 {
            let said = format!("{name} was resumed in 3scale, and stays locked here.");
            report.change(said.clone());
            event = Some(self.event(EventKind::KeySourceProblem, said));
        }
        let follow = |link: &mut Link| {
            (link.access, link.suspension) = (Access::Allowed, Suspension::NotOurs);
        };
        self.change_link(engine, id, event, follow).await
    }

    /// What is noted at an application that is suspended because it is there.
    pub(super) fn suspension_note(&self) -> String {
        format!("Suspended because it may not call in {}.", self.name)
    }

    async fn application_here(
        &self,
        engine: &Arc<Engine>,
        link: &Link,
    ) -> Result<ApplicationView, Failure> {
        let show = ShowApplication { application: link.application.clone() };
        engine.execute(&self.principal(), show).await
    }

    async fn set_state(
        &self,
        engine: &Arc<Engine>,
        link: &Link,
        state: ApplicationState,
    ) -> Result<(), Failure> {
        let application = link.application.clone();
        let set = SetApplicationState { application, state, expected: Expected::default() };
        engine.execute(&self.principal(), set).await.map(drop)
    }

    async fn set_note(&self, engine: &Arc<Engine>, link: &Link, note: &str) -> Result<(), Failure> {
        let set = SetApplicationNote {
            application: link.application.clone(),
            note: note.to_owned(),
            expected: Expected::default(),
        };
        engine.execute(&self.principal(), set).await.map(drop)
    }
}

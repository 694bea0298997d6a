//! What owners do with applications.

use keystile_core::decision::ApplicationState;
use keystile_core::lock::Actor;
use keystile_store::error::Error;
use keystile_store::key;

use crate::command::{Answer, ApplicationDetails, Failure, KeyFilter};
use crate::execute::{check_name, failure};
use crate::{Engine, view};

impl Engine {
    pub(crate) async fn create_application(
        &self,
        name: String,
        plan: String,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        check_name(&name)?;
        self.check_plan(&plan)?;
        let shown = name.clone();
        self.store
            .change(move |work| work.create_application(&name, &plan, &actor).map(|_| ()))
            .await?;
        self.show_application(&shown)
    }

    pub(crate) fn show_application(&self, name: &str) -> Result<Answer, Failure> {
        let row =
            self.store.read(|read| key::find_application(read, name)).map_err(
                |error| match error {
                    Error::Missing(what) => failure(
                        format!("there is no {what}"),
                        "list them: keystile application list",
                    ),
                    other => other.into(),
                },
            )?;
        let filter = KeyFilter { application: Some(row.name.clone()), ..KeyFilter::default() };
        let keys_list = self.list_keys(&filter)?;
        Ok(Answer::Application(Box::new(ApplicationDetails {
            application: view::application(row),
            keys_list,
        })))
    }

    pub(crate) async fn set_application_state(
        &self,
        name: &str,
        state: ApplicationState,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        let row = self.store.read(|read| key::find_application(read, name))?;
        if row.state != state {
            self.store
                .change(move |work| work.set_application_state(row.row, state, &actor))
                .await?;
        }
        Ok(Answer::Done(match state {
            ApplicationState::Active => format!("{} may call again.", row.name),
            ApplicationState::Suspended => {
                format!("Suspended {}: none of its keys may call.", row.name)
            }
        }))
    }
}

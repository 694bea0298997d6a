//! `keystile application`.

use keystile_core::keys::application::ApplicationState;
use keystile_core::version::Expected;
use keystile_engine::keys::application::{
    CreateApplication, ListApplications, ShowApplicationWithKeys,
};
use keystile_engine::keys::application_edit::{
    ChangeApplicationPlan, SetApplicationNote, SetApplicationState,
};

use super::arguments::{ApplicationArguments, ApplicationCommand, Form};
use super::render;
use super::session::{Session, Stop};

pub(super) fn dispatch(
    command: &ApplicationCommand,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    match command {
        ApplicationCommand::Create { name, plan, common } => {
            let command = CreateApplication { name: name.clone(), plan: plan.clone() };
            create(command, common.form(), session)
        }
        ApplicationCommand::List(common) => list(common.form(), session),
        ApplicationCommand::Show(arguments) => show(arguments, session),
        ApplicationCommand::Change { application, plan } => {
            let form = application.common.form();
            let (application, plan) = (application.application.clone(), plan.clone());
            let expected = Expected::Any;
            session.edit(ChangeApplicationPlan { application, plan, expected }, form)
        }
        ApplicationCommand::Note { application, note } => {
            let form = application.common.form();
            let (application, note) = (application.application.clone(), note.clone());
            let expected = Expected::Any;
            session.edit(SetApplicationNote { application, note, expected }, form)
        }
        ApplicationCommand::Suspend(arguments) => {
            set_state(arguments, ApplicationState::Suspended, session)
        }
        ApplicationCommand::Resume(arguments) => {
            set_state(arguments, ApplicationState::Active, session)
        }
    }
}

fn create(
    command: CreateApplication,
    form: Form,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let details = session.execute(command)?;
    match form {
        Form::Json => session.terminal.print_json(&details)?,
        Form::Text => session.terminal.say("The application is created.")?,
    }
    Ok(())
}

fn list(form: Form, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let applications = session.execute(ListApplications::default())?;
    if form == Form::Json {
        session.terminal.print_json(&applications)?;
    } else if applications.is_empty() {
        session.terminal.say(
            "No applications yet. Create one with its first key: keystile key create --application NAME --plan PLAN",
        )?;
    } else {
        let table = render::applications(&applications, &session.terminal.screen);
        session.terminal.stdout.write_all(table.as_bytes())?;
    }
    Ok(())
}

fn show(arguments: &ApplicationArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let command = ShowApplicationWithKeys { application: arguments.application.clone() };
    let details = session.execute(command)?;
    match arguments.common.form() {
        Form::Json => session.terminal.print_json(&details)?,
        Form::Text => {
            let page = render::application(&details, &session.terminal.screen);
            session.terminal.stdout.write_all(page.as_bytes())?;
        }
    }
    Ok(())
}

fn set_state(
    arguments: &ApplicationArguments,
    state: ApplicationState,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let (application, expected) = (arguments.application.clone(), Expected::Any);
    let command = SetApplicationState { application, state, expected };
    session.edit(command, arguments.common.form())
}

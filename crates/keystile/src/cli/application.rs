//! `keystile application`.

use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::lock::Budgets;
use keystile_core::text::printable;
use keystile_core::version::Expected;
use keystile_engine::keys::application::{
    CreateApplication, ListApplications, ShowApplicationWithKeys,
};
use keystile_engine::keys::application_edit::{
    ChangeApplicationPlan, SetApplicationNote, SetApplicationState,
};

use keystile_engine::keys::application_lock::UnlockApplication;

use super::arguments::{ApplicationArguments, ApplicationCommand, Form};
use super::key::used_up_text;
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
        ApplicationCommand::Unlock { application, reset_budget } => {
            let budgets = if *reset_budget { Budgets::Reset } else { Budgets::Keep };
            unlock(application, budgets, session)
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

fn unlock(
    arguments: &ApplicationArguments,
    budgets: Budgets,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let (application, form) = (arguments.application.clone(), arguments.common.form());
    let command =
        UnlockApplication { application: application.clone(), budgets, expected: Expected::Any };
    session.edit(command, form)?;
    if (form, budgets) != (Form::Text, Budgets::Keep) {
        return Ok(());
    }
    let details = session.execute(ShowApplicationWithKeys { application })?;
    let now = session.terminal.screen.now;
    let used_up = details.budgets.iter().filter(|shared| shared.budget.remaining == 0);
    let mut said: Vec<String> = used_up.map(|shared| used_up_text(&shared.budget, now)).collect();
    if !said.is_empty() {
        said.push(format!(
            "A write that counts there before then locks the application again. To let the budgets that its \
             keys share begin anew:\n  keystile application unlock {} --reset-budget",
            printable(&details.application.name)
        ));
    }
    for line in said {
        session.terminal.say(&line)?;
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

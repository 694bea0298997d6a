//! `keystile application`.

use keystile_core::decision::ApplicationState;
use keystile_engine::legacy::{Answer, Command};

use super::arguments::{ApplicationArguments, ApplicationCommand, Form};
use super::render;
use super::session::{Session, Stop};

pub(super) fn dispatch(
    command: &ApplicationCommand,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    match command {
        ApplicationCommand::Create { name, plan, common } => {
            let command = Command::CreateApplication { name: name.clone(), plan: plan.clone() };
            create(command, common.form(), session)
        }
        ApplicationCommand::List(common) => list(common.form(), session),
        ApplicationCommand::Show(arguments) => show(arguments, session),
        ApplicationCommand::Change { application, plan } => {
            let command = Command::ChangeApplicationPlan {
                application: application.application.clone(),
                plan: plan.clone(),
            };
            let done = "The application is on the other plan.";
            session.ask_done(command, application.common.form(), done)
        }
        ApplicationCommand::Note { application, note } => {
            let command = Command::SetApplicationNote {
                application: application.application.clone(),
                note: note.clone(),
            };
            session.ask_done(command, application.common.form(), "It is noted.")
        }
        ApplicationCommand::Suspend(arguments) => set_state(
            arguments,
            ApplicationState::Suspended,
            "The application is suspended.",
            session,
        ),
        ApplicationCommand::Resume(arguments) => set_state(
            arguments,
            ApplicationState::Active,
            "The application may call again.",
            session,
        ),
    }
}

fn create(command: Command, form: Form, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let answer = session.ask(command)?;
    match (answer, form) {
        (Answer::Application(details), Form::Json) => session.terminal.print_json(&details)?,
        (Answer::Done(sentence), Form::Json) => {
            session.terminal.print_json(&serde_json::json!({ "done": sentence }))?;
        }
        (Answer::Done(sentence), Form::Text) => session.terminal.say(&sentence)?,
        (Answer::Application(_), Form::Text) => {
            session.terminal.say("The application is created.")?;
        }
        _ => return Err(Stop::unexpected()),
    }
    Ok(())
}

fn list(form: Form, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let Answer::Applications(applications) = session.ask(Command::ListApplications)? else {
        return Err(Stop::unexpected());
    };
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
    let command = Command::ShowApplication { application: arguments.application.clone() };
    let Answer::Application(details) = session.ask(command)? else {
        return Err(Stop::unexpected());
    };
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
    done: &str,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let command =
        Command::SetApplicationState { application: arguments.application.clone(), state };
    session.ask_done(command, arguments.common.form(), done)
}

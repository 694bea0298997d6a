//! `keystile token`.

use keystile_core::owners::scope::Scope;
use keystile_core::time::Span;
use keystile_engine::owners::token::{CreateToken, ListTokens, RevokeToken};

use super::arguments::{CommonArguments, CreateTokenArguments, Form, TokenCommand};
use super::render;
use super::session::{Session, Stop};
use keystile_core::text::printable;

pub(super) fn dispatch(command: &TokenCommand, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    match command {
        TokenCommand::Create(arguments) => create(arguments, session),
        TokenCommand::List(common) => list(common, session),
        TokenCommand::Revoke { token, consent, common } => {
            session.ask(*consent, |_| {
                Ok(format!("Token {} will never work again. Revoke it?", printable(token)))
            })?;
            let revoked = session.execute(RevokeToken { token: token.clone() })?;
            session
                .say_done(common.form(), &format!("Revoked the token {} for good.", revoked.name))
        }
    }
}

fn create(arguments: &CreateTokenArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let made = session.execute(CreateToken {
        name: arguments.name.clone(),
        scope: Scope::from(arguments.scope),
        for_millis: arguments.span.map(Span::millis),
    })?;
    if arguments.common.form() == Form::Json {
        return Ok(session.terminal.print_json(&made)?);
    }
    writeln!(session.terminal.stdout, "{}", made.token.expose())?;
    let until = match made.view.expires {
        Some(expires) => format!("until {}", expires.readable()),
        None => "until it is revoked".to_owned(),
    };
    session.terminal.say(&format!(
        "This token, {}, may {} {until}, and is shown only now: keep it safe.",
        printable(&made.view.name),
        made.view.scope,
    ))?;
    Ok(())
}

fn list(common: &CommonArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let tokens = session.execute(ListTokens)?;
    if common.form() == Form::Json {
        session.terminal.print_json(&tokens)?;
    } else if tokens.is_empty() {
        session.terminal.say("No tokens yet. Make one: keystile token create NAME")?;
    } else {
        let table = render::tokens(&tokens, &session.terminal.screen);
        session.terminal.stdout.write_all(table.as_bytes())?;
    }
    Ok(())
}

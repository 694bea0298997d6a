//! `keystile notify`.

use keystile_core::notifications::delivery::DeliveryState;
use keystile_engine::command::DeliveryFilter;
use keystile_engine::legacy::{Answer, Command};

use super::arguments::{CommonArguments, Form, ListDeliveriesArguments, NotifyCommand};
use super::render;
use super::session::{Session, Stop};

/// Listed where nobody says how many.
const LISTED: u32 = 100;
const LISTED_JSON: u32 = 1_000;

pub(super) fn dispatch(command: &NotifyCommand, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    match command {
        NotifyCommand::Test { channel, common } => test(channel, common, session),
        NotifyCommand::List(arguments) => list(arguments, session),
        NotifyCommand::Show { delivery, common } => {
            let Answer::Delivery(found) =
                session.ask(Command::ShowDelivery { delivery: *delivery })?
            else {
                return Err(Stop::unexpected());
            };
            if common.form() == Form::Json {
                return Ok(session.terminal.print_json(&found)?);
            }
            let text = render::delivery(&found, &session.terminal.screen);
            Ok(session.terminal.stdout.write_all(text.as_bytes())?)
        }
        NotifyCommand::Resend { delivery, common } => {
            let command = Command::ResendDelivery { delivery: *delivery };
            session.ask_done(command, common.form(), "It will be sent again.")
        }
        NotifyCommand::Channels(common) => channels(common, session),
        NotifyCommand::Resume { channel, common } => {
            let command = Command::ResumeDigests { channel: channel.clone() };
            session.ask_done(command, common.form(), "They go out again.")
        }
    }
}

fn test(
    channel: &str,
    common: &CommonArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let command = Command::TestChannel { channel: channel.to_owned() };
    let Answer::Deliveries(sent) = session.ask(command)? else {
        return Err(Stop::unexpected());
    };
    if common.form() == Form::Json {
        session.terminal.print_json(&sent)?;
    } else {
        let table = render::deliveries(&sent, &session.terminal.screen);
        session.terminal.stdout.write_all(table.as_bytes())?;
    }
    let has_arrived = sent.iter().all(|delivery| delivery.state == DeliveryState::Sent);
    if has_arrived { Ok(()) } else { Err(Stop::Reported) }
}

fn list(arguments: &ListDeliveriesArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let form = arguments.common.form();
    let default = if form == Form::Json { LISTED_JSON } else { LISTED };
    let filter = DeliveryFilter {
        state: arguments.state,
        channel: arguments.channel.clone(),
        event: arguments.event,
        before: arguments.before,
        limit: arguments.limit.unwrap_or(default),
    };
    let Answer::Deliveries(found) = session.ask(Command::ListDeliveries(filter))? else {
        return Err(Stop::unexpected());
    };
    if form == Form::Json {
        session.terminal.print_json(&found)?;
    } else if found.is_empty() {
        session.terminal.say("No such deliveries.")?;
    } else {
        let table = render::deliveries(&found, &session.terminal.screen);
        session.terminal.stdout.write_all(table.as_bytes())?;
    }
    Ok(())
}

fn channels(common: &CommonArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let Answer::Channels(found) = session.ask(Command::ListChannels)? else {
        return Err(Stop::unexpected());
    };
    if common.form() == Form::Json {
        session.terminal.print_json(&found)?;
    } else if found.is_empty() {
        session
            .terminal
            .say("No channels. Write one into the configuration: [channel.owner-mail]")?;
    } else {
        let table = render::channels(&found, &session.terminal.screen);
        session.terminal.stdout.write_all(table.as_bytes())?;
        for channel in found.iter().filter(|channel| !channel.stops.is_empty()) {
            let stopped: Vec<_> = channel
                .stops
                .iter()
                .map(|stop| format!("{} to {}", stop.rule, stop.receiver))
                .collect();
            session.terminal.say(&format!(
                "Digests of {} that were stopped: {}. Send them again: keystile notify resume {}",
                channel.name,
                stopped.join(", "),
                channel.name
            ))?;
        }
    }
    Ok(())
}

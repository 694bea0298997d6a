//! `keystile notify`.

use keystile_core::notifications::delivery::DeliveryState;
use keystile_engine::notifications::delivery::{
    DeliveryFilter, ListChannels, ListDeliveries, ResendDelivery, ShowDelivery, TestChannel,
};
use keystile_engine::notifications::stop_digests::ResumeDigests;

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
            let found = session.execute(ShowDelivery { delivery: *delivery })?;
            if common.form() == Form::Json {
                return Ok(session.terminal.print_json(&found)?);
            }
            let text = render::delivery(&found, &session.terminal.screen);
            Ok(session.terminal.stdout.write_all(text.as_bytes())?)
        }
        NotifyCommand::Resend { delivery, common } => {
            let done = session.execute(ResendDelivery { delivery: *delivery })?;
            session.say_done(common.form(), &done.0)
        }
        NotifyCommand::Channels(common) => channels(common, session),
        NotifyCommand::Resume { channel, common } => {
            let done = session.execute(ResumeDigests { channel: channel.clone() })?;
            session.say_done(common.form(), &done.0)
        }
    }
}

fn test(
    channel: &str,
    common: &CommonArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let sent = session.execute(TestChannel { channel: channel.to_owned() })?;
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
    let found = session.execute(ListDeliveries { filter })?;
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
    let found = session.execute(ListChannels)?;
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

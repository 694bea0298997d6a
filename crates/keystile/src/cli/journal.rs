//! `keystile journal list` and `show`.

use keystile_core::journal::{RecordId, WriteRecord};
use keystile_engine::journal::{Order, RecordFilter};

use super::arguments::{CommonArguments, Form, JournalCommand, ListRecordsArguments};
use super::records::{PAGE, check_period, page};
use super::session::{Session, Stop};
use super::{export, follow, render};

const LISTED_IN_TEXT: u32 = 100;
const LISTED_IN_JSON: u32 = 1000;

pub(super) fn dispatch(
    command: &JournalCommand,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    match command {
        JournalCommand::List(arguments) => list(arguments, session),
        JournalCommand::Show { record, common } => show(*record, common, session),
        JournalCommand::Follow(arguments) => follow::follow(arguments, session),
        JournalCommand::Export(arguments) => export::export(arguments, session),
    }
}

fn list(arguments: &ListRecordsArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    check_period(arguments.period, session)?;
    let form = arguments.common.form();
    let limit = match (arguments.limit, form) {
        (Some(limit), _) => limit,
        (None, Form::Text) => LISTED_IN_TEXT,
        (None, Form::Json) => LISTED_IN_JSON,
    };
    let mut records = collect(arguments, limit as usize, session)?;
    let more = records.len() > limit as usize;
    records.truncate(limit as usize);
    if form == Form::Json {
        session.terminal.print_json(&records)?;
    } else if records.is_empty() {
        session.terminal.say(empty_text(arguments))?;
    } else {
        let table = render::records(&records, &session.terminal.screen);
        session.terminal.stdout.write_all(table.as_bytes())?;
    }
    // Who asked for so many knows that there may be more.
    if let (true, None, Some(last)) = (more, arguments.limit, records.last()) {
        session
            .terminal
            .say(&format!("There are more: keystile journal list --before {}", last.id))?;
    }
    Ok(())
}

/// As many records as there are, one more than the limit at most.
fn collect(
    arguments: &ListRecordsArguments,
    limit: usize,
    session: &mut Session<'_, '_>,
) -> Result<Vec<WriteRecord>, Stop> {
    let order = arguments.before.map_or(Order::Latest, Order::Before);
    let mut filter = arguments.filter.resolve(arguments.period, session.terminal.screen.now, order);
    let mut records: Vec<WriteRecord> = Vec::new();
    while records.len() <= limit {
        let missing = u32::try_from(limit + 1 - records.len()).unwrap_or(u32::MAX);
        filter.limit = PAGE.min(missing);
        let more = page(filter.clone(), session)?;
        let Some(last) = more.last() else {
            break;
        };
        filter.order = Order::Before(last.id);
        records.extend(more);
    }
    Ok(records)
}

fn empty_text(arguments: &ListRecordsArguments) -> &'static str {
    let everything = RecordFilter { limit: 0, ..RecordFilter::default() };
    let order = arguments.before.map_or(Order::Latest, Order::Before);
    if arguments.filter.resolve(arguments.period, keystile_core::time::Timestamp(0), order)
        == everything
    {
        "No writes on record yet. Send one through the gate, and watch: keystile journal follow"
    } else {
        "No record matches. See the latest: keystile journal list"
    }
}

fn show(id: RecordId, common: &CommonArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let filter = RecordFilter { order: Order::Only(id), limit: 1, ..RecordFilter::default() };
    let found = page(filter, session)?;
    let Some(record) = found.first() else {
        return Err(Stop::failed(
            format!("no record has the id {id}"),
            "it may be older than what is kept; `keystile journal list` shows what there is",
        ));
    };
    match common.form() {
        Form::Json => session.terminal.print_json(record)?,
        Form::Text => {
            let page = render::record(record, &session.terminal.screen);
            session.terminal.stdout.write_all(page.as_bytes())?;
        }
    }
    Ok(())
}

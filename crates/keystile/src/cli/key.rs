//! `keystile key`.

use keystile_core::budget::Per;
use keystile_core::keys::lock::{Budgets, LockLevel};
use keystile_core::time::{Span, Timestamp};
use keystile_core::version::Expected;
use keystile_engine::keys::create::{CreateKeys, NewKey, RollKey};
use keystile_engine::keys::edit::{ChangeKeyPlan, RevokeKey, SetKeyNote};
use keystile_engine::keys::key::{BudgetView, KeyDetails, KeyFilter, KeyView, ListKeys, ShowKey};
use keystile_engine::keys::lock::{LockKey, UnlockKey};

use super::arguments::{
    ConsentArguments, CreateKeysArguments, Form, KeyArguments, KeyCommand, ListKeysArguments,
    LockArguments,
};
use super::render;
use super::session::{Session, Stop};
use super::when::exact_and_relative;
use keystile_core::text::printable;

mod import;

/// How many keys one command issues or lists; an answer stays small, however many are asked for.
const PAGE: u32 = 1000;
const LISTED_IN_TEXT: u32 = 100;

pub(super) fn dispatch(command: &KeyCommand, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    match command {
        KeyCommand::Create(arguments) => create(arguments, session),
        KeyCommand::Import(arguments) => import::import(arguments, session),
        KeyCommand::List(arguments) => list(arguments, session),
        KeyCommand::Show(arguments) => show(arguments, session),
        KeyCommand::Lock(arguments) => lock(arguments, session),
        KeyCommand::Unlock { key, reset_budget } => {
            unlock(key, if *reset_budget { Budgets::Reset } else { Budgets::Keep }, session)
        }
        KeyCommand::Roll { key, grace } => roll(key, *grace, session),
        KeyCommand::Change { key, plan } => {
            let form = key.common.form();
            let (key, plan) = (key.key.clone(), plan.clone());
            session.edit(ChangeKeyPlan { key, plan, expected: Expected::Any }, form)
        }
        KeyCommand::Note { key, note } => {
            let form = key.common.form();
            let (key, note) = (key.key.clone(), note.clone());
            session.edit(SetKeyNote { key, note, expected: Expected::Any }, form)
        }
        KeyCommand::Revoke { key, consent } => revoke(key, *consent, session),
    }
}

fn create(arguments: &CreateKeysArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let mut keys = Vec::new();
    let mut result = Ok(());
    for issued in (0..arguments.count).step_by(PAGE as usize) {
        let command = CreateKeys {
            application: arguments.application.clone(),
            plan: arguments.plan.clone(),
            count: PAGE.min(arguments.count - issued),
        };
        match session.execute(command) {
            Ok(more) => keys.extend(more),
            Err(stop) => {
                result = Err(stop);
                break;
            }
        }
    }
    // Keys that were issued exist and are shown nowhere else, whatever went wrong after them.
    match (arguments.common.form(), keys.as_slice()) {
        (_, []) => {}
        (Form::Json, [key]) if arguments.count == 1 => session.terminal.print_json(key)?,
        (Form::Json, keys) => session.terminal.print_json(&keys)?,
        (Form::Text, keys) => show_new(keys, session)?,
    }
    result
}

fn show_new(keys: &[NewKey], session: &mut Session<'_, '_>) -> Result<(), Stop> {
    for key in keys {
        writeln!(session.terminal.stdout, "{}", key.key)?;
    }
    let Some(first) = keys.first() else {
        return Ok(());
    };
    let (subject, verb) =
        if keys.len() == 1 { ("This key is", "it") } else { ("These keys are", "them") };
    let NewKey { application, plan, .. } = first;
    session.terminal.say(&format!(
        "{subject} for application {} on plan {}, and shown only now: keep {verb} safe.",
        printable(application),
        printable(plan),
    ))?;
    if let Some(line) = &first.example {
        session.terminal.say(&format!("Try it:\n  {}", printable(line)))?;
    }
    Ok(())
}

fn list(arguments: &ListKeysArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let form = arguments.common.form();
    let limit = match (arguments.limit, form) {
        (Some(limit), _) => limit,
        (None, Form::Text) => LISTED_IN_TEXT,
        (None, Form::Json) => u32::MAX,
    };
    let (keys, rest) = collect(arguments, limit as usize, session)?;
    if form == Form::Json {
        session.terminal.print_json(&keys)?;
    } else if keys.is_empty() {
        session.terminal.say(empty_text(arguments))?;
    } else {
        let table = render::keys(&keys, &session.terminal.screen);
        session.terminal.stdout.write_all(table.as_bytes())?;
    }
    // Who asked for so many knows that there may be more.
    if let (Rest::Some, None, Some(last)) = (rest, arguments.limit, keys.last()) {
        session.terminal.say(&format!("There are more: keystile key list --after {}", last.id))?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    None,
    Some,
}

fn collect(
    arguments: &ListKeysArguments,
    limit: usize,
    session: &mut Session<'_, '_>,
) -> Result<(Vec<KeyView>, Rest), Stop> {
    let mut keys: Vec<KeyView> = Vec::new();
    // One more than is shown tells whether there are more.
    while keys.len() <= limit {
        let missing = u32::try_from(limit + 1 - keys.len()).unwrap_or(u32::MAX);
        let filter = KeyFilter {
            application: arguments.application.clone(),
            plan: arguments.plan.clone(),
            state: arguments.state.map(|state| state.name().to_owned()),
            locked_on: None,
            after: keys.last().map(|key| key.id.clone()).or_else(|| arguments.after.clone()),
            limit: PAGE.min(missing),
            ..KeyFilter::default()
        };
        let page = session.execute(ListKeys { filter })?;
        // A short page may be the engine's own limit; only an empty one is the end.
        if page.is_empty() {
            return Ok((keys, Rest::None));
        }
        keys.extend(page);
    }
    keys.truncate(limit);
    Ok((keys, Rest::Some))
}

fn empty_text(arguments: &ListKeysArguments) -> &'static str {
    let ListKeysArguments { application, plan, state, after, limit: _, common: _ } = arguments;
    if application.is_none() && plan.is_none() && state.is_none() && after.is_none() {
        "No keys yet. Create one: keystile key create --application NAME --plan PLAN"
    } else {
        "No key matches. See all: keystile key list"
    }
}

fn show(arguments: &KeyArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let details = find(&arguments.key, session)?;
    match arguments.common.form() {
        Form::Json => session.terminal.print_json(&details)?,
        Form::Text => {
            let page = render::key(&details, &session.terminal.screen);
            session.terminal.stdout.write_all(page.as_bytes())?;
        }
    }
    Ok(())
}

fn find(key: &str, session: &mut Session<'_, '_>) -> Result<KeyDetails, Stop> {
    session.execute(ShowKey { key: key.to_owned() })
}

fn lock(arguments: &LockArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let command = LockKey {
        key: arguments.key.key.clone(),
        level: LockLevel::from(arguments.level),
        reason: arguments.reason.clone(),
        for_millis: arguments.span.map(Span::millis),
        expected: Expected::Any,
    };
    session.edit(command, arguments.key.common.form())
}

fn unlock(
    arguments: &KeyArguments,
    budgets: Budgets,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let key = &arguments.key;
    let form = arguments.common.form();
    session.edit(UnlockKey { key: key.clone(), budgets, expected: Expected::Any }, form)?;
    match (form, budgets) {
        (Form::Json, _) | (Form::Text, Budgets::Reset) => Ok(()),
        (Form::Text, Budgets::Keep) => warn_of_budgets(key, session),
    }
}

/// Says that the key is about to be locked again, where it is.
fn warn_of_budgets(key: &str, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let details = find(key, session)?;
    let now = session.terminal.screen.now;
    let mut used_up = details.budgets.iter().filter(|budget| budget.remaining == 0).peekable();
    if used_up.peek().is_none() {
        return Ok(());
    }
    let mut is_own = false;
    for budget in used_up {
        is_own |= budget.per == Per::Key;
        session.terminal.say(&used_up_text(budget, now))?;
    }
    if !is_own {
        session.terminal.say(&format!(
            "A write that counts there before then locks the application and all of its keys: \
             keystile application show {}",
            printable(&details.key.application)
        ))?;
        return Ok(());
    }
    session.terminal.say(&format!(
        "A write that counts there before then locks the key again. To let its budgets begin anew:\n  \
         keystile key unlock {} --reset-budget",
        printable(&details.key.prefix)
    ))?;
    Ok(())
}

pub(super) fn used_up_text(budget: &BudgetView, now: Timestamp) -> String {
    let BudgetView { name, quota, per, frees_at, .. } = budget;
    let whose = match per {
        Per::Key => "Its",
        Per::Application => "The application's",
        Per::Plan => "The plan's",
    };
    let until = frees_at
        .map_or_else(String::new, |time| format!(" until {}", exact_and_relative(time, now)));
    if name == quota {
        format!("{whose} write budget of {quota} is still used up{until}.")
    } else {
        format!("{whose} write budget {name} of {quota} is still used up{until}.")
    }
}

fn roll(
    arguments: &KeyArguments,
    grace_millis: i64,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let command = RollKey {
        key: arguments.key.clone(),
        // The engine knows no grace period without a length.
        grace_millis: grace_millis.max(1),
        expected: Expected::Any,
    };
    let key = session.execute(command)?;
    if arguments.common.form() == Form::Json {
        return Ok(session.terminal.print_json(&key)?);
    }
    show_new(&[key], session)?;
    let old = match Span::from_millis(grace_millis) {
        Some(grace) => format!("The old key works for another {grace}; then it is revoked."),
        None => "The old key is revoked.".to_owned(),
    };
    Ok(session.terminal.say(&old)?)
}

fn revoke(
    arguments: &KeyArguments,
    consent: ConsentArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    session.ask(consent, |session| {
        let details = find(&arguments.key, session)?;
        let KeyView { prefix, application, plan, .. } = &details.key;
        Ok(format!(
            "Key {} of application {}, plan {}, will never work again. Revoke it?",
            printable(prefix),
            printable(application),
            printable(plan),
        ))
    })?;
    let command = RevokeKey { key: arguments.key.clone(), expected: Expected::Any };
    session.edit(command, arguments.common.form())
}

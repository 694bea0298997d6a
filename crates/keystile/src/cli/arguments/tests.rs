use clap::{CommandFactory as _, Parser as _};
use keystile_core::journal::{Outcome, RecordId};

use super::super::target::Target;
use super::key::{LevelArgument, StateArgument};
use super::*;

fn parse(line: &str) -> CliCommand {
    Arguments::try_parse_from(line.split(' '))
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .subcommand
}

fn refuses(line: &str) {
    let error = Arguments::try_parse_from(line.split(' ')).expect_err(line);
    assert_eq!(error.exit_code(), 2, "{line}");
}

#[test]
fn the_definition_holds_together() {
    Arguments::command().debug_assert();
}

#[test]
fn the_top_level_help_stays_as_it_is() {
    insta::assert_snapshot!(Arguments::command().term_width(80).render_help());
}

#[test]
fn help_fits_a_narrow_terminal() {
    fn check(command: &clap::Command) {
        for subcommand in command.get_subcommands() {
            check(subcommand);
        }
        for width in [60, 80] {
            let help = command.clone().term_width(width).render_long_help().to_string();
            // clap breaks every text but the usage line.
            for line in help.lines().filter(|line| !line.starts_with("Usage:")) {
                assert!(line.chars().count() <= width, "{}: {line}", command.get_name());
            }
        }
    }
    let mut command = Arguments::command();
    command.build();
    check(&command);
}

#[test]
fn run_takes_a_file_or_an_upstream() {
    let CliCommand::Run(run) = parse(
        "keystile run --upstream http://127.0.0.1:3000 --observe --listen 127.0.0.1:80 --data d",
    ) else {
        panic!()
    };
    assert_eq!(run.upstream.as_deref(), Some("http://127.0.0.1:3000"));
    assert!(run.observe && run.listen == ["127.0.0.1:80".parse().unwrap()]);
    assert_eq!(run.target(), Target { config: None, data: Some("d".into()) });
    let CliCommand::Run(run) = parse("keystile run --config k.toml") else { panic!() };
    assert_eq!(run.target(), Target { config: Some("k.toml".into()), data: None });
    refuses("keystile run --config k.toml --upstream http://127.0.0.1:3000");
    refuses("keystile run --listen nowhere");
}

#[test]
fn demo_init_check_schema_and_restore_are_parsed_for_the_caller() {
    let CliCommand::Demo(demo) = parse("keystile demo --gate 127.0.0.1:1 --console 127.0.0.1:2")
    else {
        panic!()
    };
    assert_eq!((demo.gate, demo.console), ("127.0.0.1:1".parse().ok(), "127.0.0.1:2".parse().ok()));
    let CliCommand::Init(init) = parse("keystile init") else { panic!() };
    assert!(init.file.to_str() == Some("keystile.toml") && !init.force);
    let CliCommand::Init(init) = parse("keystile init a.toml --force") else { panic!() };
    assert!(init.file.to_str() == Some("a.toml") && init.force);
    for line in ["keystile check a.toml --json", "keystile check --json --config a.toml"] {
        let CliCommand::Check(check) = parse(line) else { panic!() };
        assert!(check.json && check.path().to_str() == Some("a.toml"));
    }
    refuses("keystile check a.toml --config b.toml");
    assert!(matches!(parse("keystile schema"), CliCommand::Schema));
    let CliCommand::Restore(restore) = parse("keystile restore b.db --force --data d --json")
    else {
        panic!()
    };
    assert!(restore.force && restore.common.json && restore.common.target.data == Some("d".into()));
}

#[test]
fn every_command_on_a_store_takes_a_target_and_json() {
    for line in [
        "reload",
        "status",
        "doctor",
        "backup f",
        "key create --application a --plan p",
        "key list",
        "key show k",
        "key lock k --reason r",
        "key unlock k",
        "key roll k",
        "key revoke k",
        "application create a --plan p",
        "application list",
        "application show a",
        "application suspend a",
        "application resume a",
        "journal list",
        "journal show write_1",
        "journal follow",
    ] {
        let CliCommand::Store(command) = parse(&format!("keystile {line} --data d --json")) else {
            panic!("{line}")
        };
        assert_eq!(command.target().data, Some("d".into()), "{line}");
        let CliCommand::Store(command) = parse(&format!("keystile {line} --config c")) else {
            panic!("{line}")
        };
        assert_eq!(command.target().config, Some("c".into()), "{line}");
    }
    let CliCommand::Store(command) = parse("keystile journal export --data d") else { panic!() };
    assert_eq!(command.target().data, Some("d".into()));
}

fn key(line: &str) -> KeyCommand {
    match parse(&format!("keystile key {line}")) {
        CliCommand::Store(StoreCommand::Key(command)) => command,
        other => panic!("{other:?}"),
    }
}

#[test]
fn key_commands() {
    let KeyCommand::Create(create) = key("create --application a --plan p --count 3") else {
        panic!()
    };
    assert_eq!(
        (create.application.as_str(), create.plan.as_deref(), create.count),
        ("a", Some("p"), 3)
    );
    let KeyCommand::List(list) =
        key("list --application a --plan p --state locked --limit 5 --after key_1")
    else {
        panic!()
    };
    assert_eq!(
        (list.state, list.limit, list.after.as_deref()),
        (Some(StateArgument::Locked), Some(5), Some("key_1"))
    );
    let KeyCommand::Lock(lock) = key("lock k --level all --reason r --for 2h") else { panic!() };
    assert_eq!((lock.level, lock.span), (LevelArgument::All, "2 hours".parse().ok()));
    let KeyCommand::Lock(lock) = key("lock k --reason r") else { panic!() };
    assert_eq!((lock.level, lock.span), (LevelArgument::Writes, None));
    assert!(matches!(
        key("unlock k --reset-budget"),
        KeyCommand::Unlock { reset_budget: true, .. }
    ));
    assert!(matches!(key("roll k"), KeyCommand::Roll { grace: 86_400_000, .. }));
    assert!(matches!(key("roll k --grace 5min"), KeyCommand::Roll { grace: 300_000, .. }));
    assert!(matches!(
        key("revoke k --yes"),
        KeyCommand::Revoke { consent: ConsentArguments { yes: true }, .. }
    ));
    for line in [
        "lock k",
        "lock k --reason r --level some",
        "lock k --reason r --for ever",
        "create --plan p",
        "list --limit 0",
    ] {
        refuses(&format!("keystile key {line}"));
    }
    refuses("keystile key create --application a --count 0");
}

#[test]
fn journal_commands() {
    let line = "list --key k --application a --api b --operation o --method delete --address ::FFFF:192.0.2.7 --outcome not_sent --since 2h --until 2026-11-24 --limit 5 --before write_9";
    let CliCommand::Store(StoreCommand::Journal(JournalCommand::List(list))) =
        parse(&format!("keystile journal {line}"))
    else {
        panic!()
    };
    let now = "2026-11-24T12:00:00Z".parse().unwrap();
    let filter = list.filter.resolve(list.period, now, keystile_engine::journal::Order::Latest);
    assert_eq!(
        (filter.method.as_deref(), filter.outcome),
        (Some("DELETE"), Some(Outcome::NotSent))
    );
    assert_eq!(filter.address.as_deref(), Some("192.0.2.7"));
    assert_eq!(filter.since, "2026-11-24T10:00:00Z".parse().ok());
    assert_eq!(filter.until, "2026-11-24T00:00:00Z".parse().ok());
    assert_eq!((list.limit, list.before), (Some(5), Some(RecordId(9))));
    let CliCommand::Store(StoreCommand::Journal(JournalCommand::Export(export))) =
        parse("keystile journal export --format csv --output f --force")
    else {
        panic!()
    };
    assert_eq!((export.format, export.output), (ExportFormat::Csv, Some("f".into())));
    for line in [
        "list --outcome fine",
        "list --since soon",
        "list --address nowhere",
        "show",
        "show nothing",
        "export --force",
        "export --format xml",
    ] {
        refuses(&format!("keystile journal {line}"));
    }
}

#[test]
fn usage_errors_exit_with_2() {
    for line in [
        "keystile",
        "keystile fly",
        "keystile key",
        "keystile status extra",
        "keystile completions tcsh",
    ] {
        refuses(line);
    }
    assert_eq!(Arguments::try_parse_from(["keystile", "--help"]).unwrap_err().exit_code(), 0);
}

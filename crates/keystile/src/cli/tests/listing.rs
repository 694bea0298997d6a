use keystile_core::journal::WriteRecord;
use keystile_engine::backup::BackUp;
use keystile_engine::command::Done;
use keystile_engine::command::wire::WireCommand;
use keystile_engine::findings::{Finding, FindingLevel};
use keystile_engine::keys::key::{KeyFilter, KeyView, ListKeys};

use super::{Engine, Prepared, TestTerminal, a_key, a_record, answer, failure};

pub(super) fn no_records() -> Prepared {
    answer(Vec::<WriteRecord>::new())
}

fn no_keys() -> Prepared {
    answer(Vec::<KeyView>::new())
}

#[test]
fn a_failure_says_what_and_what_to_do() {
    let (terminal, succeeded) = Engine::new([failure()]).run("keystile key show x");
    assert!(!succeeded);
    assert_eq!(terminal.stdout(), "");
    assert_eq!(
        terminal.stderr(),
        "error: no plan is named \"x\"\n\\u{1b}[2J\nhelp: try \"open\"\n"
    );
}

#[test]
fn an_answer_of_another_kind_is_a_failure() {
    for line in [
        "key list",
        "key show x",
        "key roll x",
        "application list",
        "journal list",
        "status",
        "doctor",
    ] {
        let (terminal, succeeded) =
            Engine::new([answer(Done("?".into()))]).run(&format!("keystile {line}"));
        assert!(
            !succeeded && terminal.stdout().is_empty() && terminal.stderr().starts_with("error: "),
            "{line}"
        );
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let terminal = TestTerminal { stdout_open: false, ..TestTerminal::default() };
    let mut engine = Engine::new([answer(vec![a_key(1)]), no_keys()]);
    let (terminal, succeeded) = engine.run_on(terminal, "keystile key list --json");
    assert!(succeeded);
    assert_eq!(terminal.stderr(), "");
}

#[test]
fn listings_are_one_array_however_many_answers_it_took() {
    let keys = |numbers: std::ops::Range<u32>| answer(numbers.map(a_key).collect::<Vec<_>>());
    let mut engine = Engine::new([keys(0..3), keys(3..4), keys(0..0)]);
    let (terminal, _) = engine.run("keystile key list --json --state locked");
    let listed: serde_json::Value = serde_json::from_str(terminal.stdout()).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert!(
        ["id", "prefix", "application", "plan", "state"]
            .iter()
            .all(|field| listed[0].get(field).is_some())
    );
    let WireCommand::ListKeys(ListKeys { filter: KeyFilter { after, state, .. } }) =
        &engine.asked[2]
    else {
        panic!()
    };
    assert_eq!((after.as_deref(), state.as_deref()), (Some(a_key(3).id.as_str()), Some("locked")));
}

#[test]
fn a_listing_that_is_cut_says_how_to_go_on() {
    let keys = answer((0..101).map(a_key).collect::<Vec<_>>());
    let (terminal, _) = Engine::new([keys]).run("keystile key list");
    assert_eq!(terminal.stdout().lines().count(), 101);
    assert_eq!(
        terminal.stderr(),
        format!("There are more: keystile key list --after {}\n", a_key(99).id)
    );
    let records = || answer((0..101).rev().map(|id| a_record(id + 1)).collect::<Vec<_>>());
    let (terminal, _) = Engine::new([records()]).run("keystile journal list");
    assert_eq!(terminal.stderr(), "There are more: keystile journal list --before write_2\n");
    let records = answer(vec![a_record(2), a_record(1)]);
    let (terminal, _) = Engine::new([records]).run("keystile journal list --limit 1 --json");
    assert_eq!((terminal.stdout().matches("write_").count(), terminal.stderr()), (1, ""));
}

#[test]
fn empty_listings_say_what_to_do_next() {
    let said = |line: &str, none| {
        let (terminal, succeeded) = Engine::new([none]).run(line);
        assert!(succeeded && terminal.stdout().is_empty());
        terminal.stderr().to_owned()
    };
    let texts = [
        said("keystile key list", no_keys()),
        said("keystile key list --plan open", no_keys()),
        said("keystile application list", no_keys()),
        said("keystile journal list", no_records()),
        said("keystile journal list --since 2h", no_records()),
    ];
    insta::assert_snapshot!(texts.concat(), @r"
    No keys yet. Create one: keystile key create --application NAME --plan PLAN
    No key matches. See all: keystile key list
    No applications yet. Create one with its first key: keystile key create --application NAME --plan PLAN
    No writes on record yet. Send one through the gate, and watch: keystile journal follow
    No record matches. See the latest: keystile journal list
    ");
    for line in ["key list", "application list", "journal list"] {
        let none = match line {
            "journal list" => no_records(),
            _ => no_keys(),
        };
        assert_eq!(Engine::new([none]).run(&format!("keystile {line} --json")).0.stdout(), "[]\n");
    }
}

#[test]
fn a_backup_overwrites_nothing_and_names_the_whole_path() {
    let mut engine = Engine::new([answer(Done("Copied.".into()))]);
    assert!(engine.run("keystile backup no-such-file.db").1);
    assert!(matches!(&engine.asked[..], [WireCommand::BackUp(BackUp { to })] if to.is_absolute()));
    let file = tempfile::NamedTempFile::new().unwrap();
    let (terminal, succeeded) =
        Engine::new([]).run(&format!("keystile backup {}", file.path().display()));
    assert!(!succeeded && terminal.stderr().contains("overwrites nothing"));
}

#[test]
fn doctor_fails_where_there_is_a_problem() {
    let finding = |level| Finding {
        level,
        subject: "disk".into(),
        message: "4 GiB are free.".into(),
        help: None,
    };
    let good = || answer(vec![finding(FindingLevel::Good), finding(FindingLevel::Warning)]);
    let bad = || answer(vec![finding(FindingLevel::Problem)]);
    assert!(Engine::new([good()]).run("keystile doctor").1);
    let (terminal, succeeded) = Engine::new([bad()]).run("keystile doctor");
    assert!(!succeeded && terminal.stderr() == "1 problem was found.\n");
    assert!(!Engine::new([bad()]).run("keystile doctor --json").1);
}

#[test]
fn paper_needs_no_engine() {
    let run = |line: &str| {
        let (terminal, succeeded) = Engine::new([]).run(line);
        assert!(succeeded, "{line}");
        terminal.stdout().to_owned()
    };
    assert_eq!(run("keystile version"), format!("keystile {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(&format!("keystile completions {shell}")).contains("journal"), "{shell}");
    }
    assert!(run("keystile man").contains(".TH keystile 1"));
    let folder = tempfile::tempdir().unwrap();
    run(&format!("keystile man --dir {}", folder.path().join("man1").display()));
    for page in ["keystile.1", "keystile-key-lock.1", "keystile-journal-export.1"] {
        assert!(folder.path().join("man1").join(page).exists(), "{page}");
    }
}

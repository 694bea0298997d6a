use keystile_core::keys::lock::Budgets;
use keystile_engine::command::Edited;
use keystile_engine::command::wire::WireCommand;
use keystile_engine::keys::create::{CreateKeys, NewKey, RollKey};
use keystile_engine::keys::import::ImportKey;
use keystile_engine::keys::key::KeyView;
use keystile_engine::keys::lock::UnlockKey;

use super::super::session::Medium;
use super::{Engine, TestTerminal, a_key, a_locked_key, answer, edited, failure, new_key};

#[test]
fn a_new_key_is_the_only_data_and_comes_with_a_line_to_paste() {
    let example = "curl -i -H 'X-API-Key: ks_secret1' 'http://127.0.0.1:7070/'";
    let key = NewKey { example: Some(example.into()), ..new_key(1) };
    let (terminal, succeeded) = Engine::new([answer(vec![key])])
        .run("keystile key create --application reader --plan open");
    assert!(succeeded);
    assert_eq!(terminal.stdout(), "ks_secret1\n");
    insta::assert_snapshot!(terminal.stderr(), @r"
    This key is for application reader on plan open, and shown only now: keep it safe.
    Try it:
      curl -i -H 'X-API-Key: ks_secret1' 'http://127.0.0.1:7070/'
    ");
}

#[test]
fn one_new_key_is_an_object_and_several_are_an_array() {
    let line = "keystile key create --application reader --plan open --json";
    let (terminal, _) = Engine::new([answer(vec![new_key(1)])]).run(line);
    insta::assert_snapshot!(terminal.stdout(), @r#"{"id":"key_1","key":"ks_secret1","application":"reader","plan":"open"}"#);
    assert_eq!(terminal.stderr(), "");
    let (terminal, _) =
        Engine::new([answer(vec![new_key(1), new_key(2)])]).run(&format!("{line} --count 2"));
    let keys: Vec<NewKey> = serde_json::from_str(terminal.stdout()).unwrap();
    assert_eq!(keys, [new_key(1), new_key(2)]);
}

#[test]
fn keys_that_were_issued_are_shown_even_when_the_next_fail() {
    let first: Vec<_> = (0..1000).map(new_key).collect();
    let mut engine = Engine::new([answer(first), failure()]);
    let (terminal, succeeded) = engine.run("keystile key create --application reader --count 1500");
    assert!(!succeeded);
    assert_eq!(terminal.stdout().lines().count(), 1000);
    assert!(terminal.stderr().ends_with("help: try \"open\"\n"));
    let counts = engine.asked.iter().map(|command| match command {
        WireCommand::CreateKeys(CreateKeys { count, plan: None, .. }) => *count,
        other => panic!("{other:?}"),
    });
    assert_eq!(counts.collect::<Vec<_>>(), [1000, 500]);
}

#[test]
fn an_unlocked_key_whose_budget_is_used_up_comes_with_a_warning() {
    let answers = || [edited("Key ks_4fGh2k07 is unlocked."), answer(a_locked_key())];
    let (terminal, succeeded) = Engine::new(answers()).run("keystile key unlock ks_4fGh2k07");
    assert!(succeeded && terminal.stdout().is_empty());
    insta::assert_snapshot!(terminal.stderr(), @r"
    Key ks_4fGh2k07 is unlocked.
    Its write budget of 10 per day is still used up until 2026-11-25 09:10:00 UTC (in 21 h 10 min).
    A write that counts there before then locks the key again. To let its budgets begin anew:
      keystile key unlock ks_4fGh2k07 --reset-budget
    ");
    let mut engine = Engine::new(answers());
    let (terminal, _) = engine.run("keystile key unlock ks_4fGh2k07 --reset-budget");
    assert_eq!(terminal.stderr().lines().count(), 1);
    assert!(matches!(
        engine.asked[..],
        [WireCommand::UnlockKey(UnlockKey { budgets: Budgets::Reset, .. })]
    ));
    let (terminal, _) = Engine::new(answers()).run("keystile key unlock ks_4fGh2k07 --json");
    assert_eq!(terminal.stdout(), "{\"done\":\"Key ks_4fGh2k07 is unlocked.\"}\n");
}

#[test]
fn revoking_asks_only_a_person() {
    let done = || edited("Key ks_4fGh2k07 is revoked.");
    let details = || answer(a_locked_key());
    let person = |stdin| {
        let mut terminal = TestTerminal { stdin, ..TestTerminal::default() };
        (terminal.screen.stdin, terminal.screen.stderr) = (Medium::Terminal, Medium::Terminal);
        terminal
    };
    let line = "keystile key revoke ks_4fGh2k07";
    let (terminal, succeeded) = Engine::new([details(), done()]).run_on(person("Yes\n"), line);
    assert!(
        succeeded && terminal.stderr().ends_with("Revoke it? [y/N]\nKey ks_4fGh2k07 is revoked.\n")
    );
    for answer in ["", "\n", "no\n"] {
        let mut engine = Engine::new([details()]);
        let (terminal, succeeded) = engine.run_on(person(answer), line);
        assert!(!succeeded && terminal.stderr().ends_with("Nothing was changed.\n"));
        assert!(matches!(engine.asked[..], [WireCommand::ShowKey(_)]));
    }
    let mut engine = Engine::new([]);
    let (terminal, succeeded) = engine.run(line);
    assert!(!succeeded && engine.asked.is_empty());
    insta::assert_snapshot!(terminal.stderr(), @r"
    error: this cannot be undone, and there is no terminal to confirm it on
    help: add --yes to do it without a question
    ");
    assert!(Engine::new([done()]).run_on(person(""), &format!("{line} --yes")).1);
    assert!(Engine::new([done()]).run(&format!("{line} --yes")).1);
}

#[test]
fn rolling_shows_the_successor_and_what_becomes_of_the_old_key() {
    let successor = || answer(new_key(2));
    let mut engine = Engine::new([successor(), successor()]);
    let (terminal, _) = engine.run("keystile key roll ks_1");
    assert_eq!(terminal.stdout(), "ks_secret2\n");
    assert!(
        terminal.stderr().ends_with("The old key works for another 1 day; then it is revoked.\n")
    );
    let (terminal, _) = engine.run("keystile key roll ks_1 --grace 0");
    assert!(terminal.stderr().ends_with("The old key is revoked.\n"));
    assert!(matches!(engine.asked[1], WireCommand::RollKey(RollKey { grace_millis: 1, .. })));
}

#[test]
fn a_name_cannot_forge_a_line_of_talk() {
    let key = NewKey { application: "x\nerror: all is lost\u{1b}[2J".into(), ..new_key(1) };
    let (terminal, _) = Engine::new([answer(vec![key])]).run("keystile key create --application x");
    assert_eq!(terminal.stderr().lines().count(), 1);
    assert!(terminal.stderr().contains("x\\u{a}error: all is lost\\u{1b}[2J on plan open"));
}

#[test]
fn an_imported_key_is_read_from_standard_input_and_never_said() {
    let imported = |text: &'static str| {
        let now = KeyView { origin: Some("3scale".into()), prefix: "8c2f01de".into(), ..a_key(1) };
        let done = "Imported 8c2f01de for application reader on plan open.".to_owned();
        let mut engine = Engine::new([answer(Edited { done, now })]);
        let terminal = TestTerminal { stdin: text, ..TestTerminal::default() };
        let line = "keystile key import --application reader --origin 3scale --name old";
        let (terminal, succeeded) = engine.run_on(terminal, line);
        (terminal, succeeded, engine.asked)
    };
    for text in ["8c2f01de77b0a4419ee1", "8c2f01de77b0a4419ee1\r\n", " 8c2f01de77b0a4419ee1 \n"] {
        let (terminal, succeeded, asked) = imported(text);
        assert!(succeeded && terminal.stdout().is_empty());
        assert_eq!(terminal.stderr(), "Imported 8c2f01de for application reader on plan open.\n");
        let [WireCommand::ImportKey(ImportKey { text, plan: None, .. })] = &asked[..] else {
            panic!("{asked:?}")
        };
        assert_eq!(text.expose(), "8c2f01de77b0a4419ee1");
        assert!(!format!("{asked:?}").contains("77b0"));
    }
    for (text, said) in [
        ("", "there is no key to take over"),
        ("\n", "there is no key to take over"),
        ("abcd", "has 5 to 255 characters, and this one has 4"),
        ("one and two", "character 4 of the key"),
        ("one1234\ntwo1234", "more than one line"),
        ("ks_0000000000000000000000000000000000000000000_0JwTDp", "issued and never taken over"),
    ] {
        let (terminal, succeeded, asked) = imported(text);
        assert!(!succeeded && asked.is_empty());
        assert!(terminal.stderr().contains(said), "{}", terminal.stderr());
    }
}

#[test]
fn an_imported_key_with_json_is_the_key_as_it_is_listed() {
    let now = KeyView { origin: Some("3scale".into()), ..a_key(1) };
    let done = "Imported.".to_owned();
    let mut engine = Engine::new([answer(Edited { done, now: now.clone() })]);
    let terminal = TestTerminal { stdin: "8c2f01de77b0a4419ee1", ..TestTerminal::default() };
    let line = "keystile key import --application reader --origin 3scale --json";
    let (terminal, _) = engine.run_on(terminal, line);
    assert_eq!(serde_json::from_str::<KeyView>(terminal.stdout()).unwrap(), now);
    let missing = "keystile key import --application reader --origin 3scale --file /nowhere/key";
    let (terminal, succeeded) = Engine::new([]).run(missing);
    assert!(!succeeded && terminal.stderr().contains("/nowhere/key cannot be read"));
}

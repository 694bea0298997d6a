//! Mistakes in the form of the file: where each finding stands, what it says, and what helps.

use super::{SMALL, bad, bad_api, bad_before, bad_plan, good};
use crate::config::{Colors, load};

#[test]
fn a_mistake_is_shown_with_its_line_and_a_caret() {
    let report = super::read(&format!("{SMALL}writebudget = ['5 per day']\n")).unwrap_err();
    insta::assert_snapshot!(report.render(80, Colors::Off), @r#"
      × [plan.open] has no key `writebudget`
       ╭─[keystile.toml:5:1]
     4 │ allow = "bookmarks: *"
     5 │ writebudget = ['5 per day']
       · ─────┬─────
       ·      ╰── unknown key
       ╰────
      help: did you mean `write_budget`?

    keystile.toml: 1 mistake
    "#);
    insta::assert_snapshot!(report.problems()[0].render(80, Colors::On).replace('\u{1b}', "ESC"), @r#"
      ESC[31m×ESC[0m [plan.open] has no key `writebudget`
       ╭─[ESC[36;1;4mkeystile.toml:5:1ESC[0m]
     ESC[2m4ESC[0m │ allow = "bookmarks: *"
     ESC[2m5ESC[0m │ writebudget = ['5 per day']
       · ESC[35;1m─────┬─────ESC[0m
       ·      ESC[35;1m╰── ESC[35;1munknown keyESC[0mESC[0m
       ╰────
    ESC[36m  help: ESC[0mdid you mean `write_budget`?
    "#);
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap(), @r#"
    [
      {
        "file": "keystile.toml",
        "line": 5,
        "column": 1,
        "severity": "error",
        "message": "[plan.open] has no key `writebudget`",
        "help": "did you mean `write_budget`?"
      }
    ]
    "#);
}

#[test]
fn a_misspelt_key_is_recognized() {
    insta::assert_snapshot!(bad_plan("writebudget = '1 per day'"), @"
    5:1: [plan.open] has no key `writebudget`
      help: did you mean `write_budget`?
    ");
    insta::assert_snapshot!(bad_before("[gaet]\n\
         listen = '127.0.0.1:1'"), @"
    1:2: the top of the file has no key `gaet`
      help: did you mean `gate`?
    ");
    insta::assert_snapshot!(bad_before("dat = 'x'"), @"
    1:1: the top of the file has no key `dat`
      help: did you mean `data`?
    ");
}

#[test]
fn a_key_in_the_wrong_table_is_sent_to_the_right_one() {
    insta::assert_snapshot!(bad_before("listen = '127.0.0.1:1'"), @"
    1:1: the top of the file has no key `listen`
      help: `listen` belongs in [gate], [console] or [threescale_backend]
    ");
    insta::assert_snapshot!(bad_api("rate_limit = '1 per second'"), @"
    5:1: [api.bookmarks] has no key `rate_limit`
      help: `rate_limit` belongs in [plan.NAME]
    ");
    insta::assert_snapshot!(bad_plan("colour = 1"), @"
    5:1: [plan.open] has no key `colour`
      help: [plan.open] has keyless, allow, write_budget, rate_limit, lock, never_lock
    ");
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    insta::assert_snapshot!(bad_before("data = 5"), @r#"
    1:8: `data` must be a string
      help: write it as in data = "keystile-data"
    "#);
    insta::assert_snapshot!(bad_before("[gate]\n\
         head_timeout = 10\n\
         workers = 'four'\n\
         listen = ['127.0.0.1:1', 2]\n\
         connections_max = 99999999999999999999"), @r#"
    2:16: `head_timeout` must be a string
      help: write it as in head_timeout = "10 s"
    3:11: `workers` must be a whole number
      help: write it as in workers = 4
    4:26: each entry of `listen` must be a string
      help: write it as in listen = ["0.0.0.0:443", "[::]:443"]
    5:19: the number for `connections_max` is too large
    "#);
    insta::assert_snapshot!(bad_plan("never_lock = 'yes'\n\
         lock = 1\n\
         write_budget = [1]"), @r#"
    5:14: `never_lock` must be true or false
      help: write never_lock = true, or never_lock = false
    6:8: `lock` must be a string or a table
    7:17: each entry of `write_budget` must be a string or a table
      help: write it as in write_budget = ["100 per day", "20 per 5 minutes", "1000 per month calendar"]
    "#);
    insta::assert_snapshot!(bad_plan("write_budget = 100\n\
         rate_limit = 5"), @r#"
    5:16: `write_budget` must be a string, a table, or an array of these
      help: write it as in write_budget = ["100 per day", "20 per 5 minutes", "1000 per month calendar"]
    6:14: `rate_limit` must be a string or an array of strings
      help: write it as in rate_limit = ["50 per second"]
    "#);
    insta::assert_snapshot!(bad("api = 5\n\
         [plan.open]\n\
         allow = '*: *'"), @"1:7: `api` must be a table");
    insta::assert_snapshot!(bad_api("[api.bookmarks.operation]\n\
         match = '*'"), @"
    5:1: `operation` must be an array
      help: write it with two brackets: [[api.bookmarks.operation]]
    ");
}

#[test]
fn a_word_that_is_none_of_the_choices_is_named() {
    insta::assert_snapshot!(bad_api("mode = 'observ'"), @r#"
    5:8: `mode` cannot be "observ"
      help: did you mean "observe"?
    "#);
    insta::assert_snapshot!(bad_plan("lock = { level = 'read', until = 'unlock' }"), @r#"
    5:18: `level` cannot be "read"
      help: write "writes" or "all"
    5:34: `until` cannot be "unlock"
      help: did you mean "unlocked"?
    "#);
    insta::assert_snapshot!(bad_plan("lock = 'nevr'"), @r#"
    5:8: `lock` cannot be "nevr"
      help: did you mean "never"?
    "#);
}

#[test]
fn an_empty_file_has_no_api_and_no_plan() {
    insta::assert_snapshot!(bad(""), @r#"
    no API is guarded
     help: add one, as in [api.bookmarks] with upstream = ["http://127.0.0.1:7071"]
    there is no plan, so nobody could call anything
     help: add one, as in [plan.open] with allow = ["*: *"]
    "#);
}

#[test]
fn what_is_needed_and_misspelt_is_reported_once() {
    insta::assert_snapshot!(bad_api("[[api.bookmarks.operation]]\n\
         mtach = 'POST /a'\n\
         [[api.bookmarks.operation]]\n\
         cost = 5"), @r#"
    6:1: [[api.bookmarks.operation]] has no key `mtach`
      help: did you mean `match`?
    7:1: this operation needs `match`
      help: write it as in match = "POST /bookmarks/import"
    "#);
    insta::assert_snapshot!(bad_plan("write_budget = [{ qouta = '1 per day' }, { on = 'bookmarks: *' }]\n\
         alow = 1"), @r#"
    5:19: `write_budget` has no key `qouta`
      help: did you mean `quota`?
    5:42: this budget needs `quota`
      help: write it as in quota = "10 per day"
    6:1: [plan.open] has no key `alow`
      help: did you mean `allow`?
    "#);
}

#[test]
fn broken_toml_is_explained_and_the_rest_is_still_checked() {
    insta::assert_snapshot!(bad_before("data = keystile\n\
         [gate]\n\
         workers = four\n\
         workers = 5\n\
         head_timeout = '10 secnds'"), @r#"
    1:8: text must stand in quotes
      help: write "keystile"
    3:11: `four` is neither a text in quotes, nor a number, nor true or false
      help: write "four" where a text is meant
    4:1: `workers` is given twice
      help: keep one of the two
    5:20: "10 secnds" is not a length of time: write a number and a unit, as in "10 s" or "1 hour", at most 400 days
      help: did you mean "10 seconds"?
    "#);
    insta::assert_snapshot!(bad_before("[gate\n\
         listen = 5"), @"1:5: this is not TOML: unclosed table, expected `]`");
    insta::assert_snapshot!(bad_before("[console]\n\
         behind_proxy = True"), @"
    2:16: `True` is neither a text in quotes, nor a number, nor true or false
      help: write true, in lower case and without quotes
    ");
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    let text = "[gate]\nmethods = ['GET']
[api.b]\nupstream = ['http://h', 'http://h']\npath = '/v2'\ntrusted_certificates = 'FOLDER/a.pem'
[[api.b.operation]]\nmatch = 'POST /v2/search'\ntreat_as = 'read'
[[api.b.operation]]\nmatch = 'POST /v2/{any}'\ntreat_as = 'write'
[[api.b.operation]]\nmatch = 'POST /v2/find'\ntreat_as = 'read'\ncost = 2
[[api.b.operation]]\nmatch = 'POST /v2/graphql'\ntype = 'graphql'
[plan.open]\nallow = ['b: *', 'b: *', 'b: GET /users/{id}']\nwrite_budget = '0 per day'";
    let configuration = good(&text.replace("FOLDER", &folder.path().display().to_string()));
    let lines: Vec<_> = configuration.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    keystile.toml:2:12: warning: GET passes anyway
    keystile.toml:4:25: warning: "http://h" is listed twice
    keystile.toml:6:24: warning: no upstream of this API uses https
    keystile.toml:9:12: warning: calls that match "POST /v2/{any}" too stay writes: the stricter rule holds
    keystile.toml:15:12: warning: calls that match "POST /v2/{any}" too stay writes: the stricter rule holds
    keystile.toml:16:8: warning: a read costs nothing, whatever stands here
    keystile.toml:19:8: warning: queries that match "POST /v2/{any}" too are writes: the stricter rule holds
    keystile.toml:21:18: warning: "b: *" is listed twice
    keystile.toml:21:34: warning: no request of this API has such a path: all begin with "/v2"
    keystile.toml:22:16: warning: already the first write goes over this budget
    "#);
}

#[test]
fn a_file_that_is_missing_or_no_text_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.toml");
    let shown = |text: String| text.replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(shown(load(&path).unwrap_err().render(80, Colors::Off)), @"
      × FOLDER/keystile.toml: there is no such file
      help: `keystile init` writes a commented configuration, `--config FILE`
            names another one

    FOLDER/keystile.toml: 1 mistake
    ");
    std::fs::write(&path, b"data = 'x'\n\xff").unwrap();
    insta::assert_snapshot!(shown(load(&path).unwrap_err().to_string()), @"FOLDER/keystile.toml: line 2 is not UTF-8 text");
    insta::assert_snapshot!(shown(load(folder.path()).unwrap_err().to_string()), @"FOLDER: it cannot be read: Is a directory (os error 21)");
}

#[test]
fn escape_sequences_of_a_file_do_not_reach_the_terminal() {
    let report = super::read("data = 'a'\n\u{1b}[31m = 5").unwrap_err();
    assert!(!report.render(80, Colors::Off).contains('\u{1b}'));
}

/// The findings of a text, one on each line.
fn findings(text: &str) -> Vec<String> {
    let report = crate::config::from_text(text, "f", std::path::Path::new("")).unwrap_err();
    report
        .problems()
        .iter()
        .map(|problem| format!("{problem} | {}", problem.help_text().unwrap_or_default()))
        .collect()
}

#[test]
fn a_bracket_that_is_not_closed_is_one_mistake_at_its_place() {
    let rest = "[plan.open]\nallow = [\"a: *\"]\nwrite_budget = [\"10 per day\"]\n";
    for (text, expected) in [
        (
            format!("[api.a]\nupstream = [\"http://a\"\n\n{rest}"),
            "f:2:12: this `[` is never closed | write `]` after its last entry",
        ),
        (
            format!("[api.a]\nupstream = [\"http://a\",\n\n{rest}"),
            "f:2:12: this `[` is never closed | write `]` after its last entry",
        ),
        (
            format!("[api.a]\nupstream = [\nkeep_host = true\n{rest}"),
            "f:2:12: this `[` is never closed | write `]` after its last entry",
        ),
        (
            format!("[api.a]\nupstream = \"http://a\"\n{rest}lock = {{ level = \"all\"\n"),
            "f:6:8: this `{` is never closed | write `}` after its last entry",
        ),
    ] {
        assert_eq!(findings(&text), [expected], "{text}");
    }
}

#[test]
fn typographic_quotes_are_named_once() {
    let text = "[api.a]\nupstream = “http://a”\n[plan.open]\nallow = ‘a: *’\n";
    assert_eq!(
        findings(text),
        [
            "f:2:12: `“` is a typographic quotation mark, and TOML knows only \" and ' | write \"http://a\"",
            "f:4:9: `‘` is a typographic quotation mark, and TOML knows only \" and ' | write \"a: *\"",
        ]
    );
}

#[test]
fn no_suggestion_means_the_opposite_of_what_was_written() {
    let plan = "[api.a]\nupstream = \"http://a\"\n[plan.open]\nallow = \"a: *\"\n";
    for lock in ["\"forever\"", "\"always\"", "\"ever\""] {
        let found = findings(&format!("{plan}lock = {lock}\n")).concat();
        assert!(!found.contains("did you mean"), "{found}");
        assert!(
            found.contains("leave out `lock` for a lock that holds until you unlock"),
            "{found}"
        );
    }
    let found = findings(&format!("{plan}lock = {{ until = \"forever\" }}\n")).concat();
    assert!(found.contains("did you mean \"unlocked\""), "{found}");
    let found = findings(&format!("{plan}lock = \"nevr\"\n")).concat();
    assert!(found.contains("did you mean \"never\""), "{found}");
}

#[test]
fn a_warning_is_not_counted_as_a_mistake() {
    let text = "[api.a]\nupstream = [\"http://a\", \"http://a\"]\nnonsense = 1\n[plan.open]\nallow = \"a: *\"\n";
    let report = crate::config::from_text(text, "f", std::path::Path::new("")).unwrap_err();
    assert_eq!(crate::config::summary(report.problems()), "f: 1 mistake, 1 warning");
}

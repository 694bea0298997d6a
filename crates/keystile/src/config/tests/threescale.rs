//! Mistakes in accounts of 3scale.

use super::bad_plan;

#[track_caller]
fn assert_says(said: &str, texts: &[&str]) {
    for text in texts {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
}

#[test]
fn what_an_account_lacks_is_named() {
    let said = bad_plan("[threescale.main]\nplans = { Basic = 'opne' }");
    assert_says(
        &said,
        &[
            "[threescale.main] needs `portal`",
            "[threescale.main] needs `access_token_file`",
            "[threescale.main] needs `service`",
            "there is no plan \"opne\" for keys",
            "did you mean \"open\"?",
        ],
    );
}

#[test]
fn what_is_written_wrong_is_explained() {
    let said = bad_plan(
        "[threescale.main]\nportal = 'http://acme-admin.3scale.net'\naccess_token_file = 'token'\n\
         access_token_env = 'TOKEN'\nservice = 'Bookmarks'\ndefault_plan = 'elsewhere'\n\
         on_lock = 'ignore'\nrefresh = '1 s'\ntokn = 'a'",
    );
    assert_says(
        &said,
        &[
            "use https",
            "the secret is in a file already",
            "`service` is the number of a service, not its name",
            "the plans for keys are: open",
            "\"ignore\" is nothing that a lock can ask for",
            "`refresh` is at least \"10 s\"",
            "tokn",
        ],
    );
}

#[test]
fn a_lock_asks_for_something_or_the_file_is_refused() {
    for written in
        ["", "Suspend", "change_plan", "change_plan:", "change_plan:  ", "change plan:Basic"]
    {
        let said = bad_plan(&format!(
            "[threescale.main]\nportal = 'https://acme.net'\naccess_token_file = 't'\nservice = 1\n\
             on_lock = '{written}'"
        ));
        assert_says(&said, &["a lock can ask for", "the name of a plan there"]);
    }
}

#[test]
fn usage_that_cannot_be_reported_is_explained() {
    let account = "[threescale.main]\nportal = 'https://acme-admin.3scale.net'\n\
                   access_token_file = 'token'\nservice = 1\n";
    let said = bad_plan(&format!("{account}usage = {{ reads = 'hits' }}"));
    assert_says(&said, &["usage is reported to a `backend`, and there is none"]);
    let said = bad_plan(&format!("{account}backend = 'http://su1.3scale.net/transactions'"));
    assert_says(
        &said,
        &[
            "is no address of a backend",
            "use https",
            "[threescale.main] needs `service_token_file`",
            "[threescale.main] needs `usage`",
        ],
    );
    let said = bad_plan(&format!(
        "{account}backend = 'https://su1.3scale.net'\nservice_token_env = 'TOKEN'\n\
         usage = {{ write = 'hits', get = 'hits', POST = 'a b', PURGE = 'hits' }}"
    ));
    assert_says(
        &said,
        &[
            "did you mean \"writes\"?",
            "did you mean \"GET\"?",
            "\"a b\" is no name of a metric",
            "PURGE",
        ],
    );
}

#[test]
fn a_token_in_the_address_of_a_portal_is_not_repeated_by_what_is_said_of_it() {
    let said = bad_plan(
        "[threescale.main]\nportal = 'https://TOPSECRET@acme.net'\naccess_token_file = 't'\n\
         service = 1",
    );
    assert_says(&said, &["holds a user name or password"]);
    assert!(!said.contains("TOPSECRET"), "{said}");
}

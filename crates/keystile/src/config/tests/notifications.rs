//! Mistakes in watch rules and channels: where each finding stands, what it says, and what helps.

use keystile_core::notifications::trigger::Trigger;

use keystile_notify::channel::FieldForm;

use super::{SMALL, bad, good};
use crate::config::path::Step;
use crate::config::schema;

const MAIL: &str = "[channel.mail]\nkind = 'email'\nto = 'me@example.org'\nfrom = 'k@example.org'\nsmtp = 'smtps://mail.example.org'\n";

/// The findings of the small file, a good channel and some lines; these begin at line 10.
fn bad_notifications(text: &str) -> String {
    bad(&format!("{SMALL}{MAIL}{text}\n"))
}

#[test]
fn names_that_do_not_exist_are_found() {
    insta::assert_snapshot!(bad_notifications("[watch.x]\non = ['bookmark: DELETE *', 'bookmarks: DELTE /x']\nplans = 'opne'\ntell = ['mial', 'phone']"), @r#"
    11:8: no API is named "bookmark"
      help: did you mean `bookmarks`?
    11:41: no request with the method "DELTE" passes the gate
      help: did you mean `DELETE`? Further methods pass where [gate] lists them in `methods`
    12:9: no plan is named "opne"
      help: did you mean `open`?
    13:9: no channel is named "mial"
      help: did you mean `mail`?
    13:17: no channel is named "phone"
      help: write mail
    "#);
}

#[test]
fn a_rule_tells_somebody_or_says_that_it_tells_nobody() {
    insta::assert_snapshot!(bad_notifications("[watch.x]\nevent = 'key_unlocked'"), @r#"
    10:8: [watch.x] does not say whom it tells
      help: write tell = ["mail"], or tell = [] where nobody is meant
    "#);
    let configuration = good(&format!("{SMALL}{MAIL}[watch.x]\nevent = 'key_locked'\ntell = []"));
    assert!(configuration.watching.waiting_for(Trigger::KeyLocked, None).next().is_none());
    let configuration = good(&format!("{SMALL}{MAIL}"));
    let (_, rule) = configuration.watching.waiting_for(Trigger::KeyLocked, None).next().unwrap();
    assert_eq!(rule.tell, ["mail"]);
}

#[test]
fn what_says_nothing_for_an_event_is_refused() {
    insta::assert_snapshot!(bad_notifications("[watch.x]\nevent = 'storage_failure'\non = 'bookmarks: *'\nplans = 'open'\nlevels = 50\ntell = 'mail'"), @r#"
    12:6: `on` says nothing for the event "storage_failure"
      help: leave out `on`, or change the event
    13:9: `plans` says nothing for the event "storage_failure"
      help: leave out `plans`, or change the event
    14:10: only `event = "budget_level"` has levels
      help: leave out `levels`, or change the event
    "#);
    insta::assert_snapshot!(bad_notifications("[watch.x]\nevent = 'key_lock'\nevents = 1\ntell = 'mail'"), @r#"
    11:9: `event` cannot be "key_lock"
      help: did you mean "key_locked"?
    12:1: `x` has no key `events`
      help: did you mean `event`?
    "#);
    insta::assert_snapshot!(bad_notifications("[watch.x]\nevent = 'refused_storm'\ntell = 'mail'"), @r#"
    11:9: `event` cannot be "refused_storm"
      help: it is called "refusal_burst" now
    "#);
    insta::assert_snapshot!(bad_notifications("[watch.x]\nevent = 'budget_level'\nlevels = [0, 101]\nquiet = '22-7'\nwindow = '1 ms'\ntell = 'mail'"), @r#"
    12:11: a level is a share in percent, from 1 to 100
    12:14: a level is a share in percent, from 1 to 100
    13:9: "22-7" is not a part of the day: write it as in "22:00-07:00"
    14:10: "1 ms" is too short
      help: it is at least "1 second"
    "#);
    insta::assert_snapshot!(bad_notifications("[watch.key_locked]\nwindow = '5 mins'\noutcome = 'done'\ntell = 'mail'"), @r#"
    10:8: the rule for `key_locked` that there is by default has this name
      help: choose another name
    11:13: "5 mins" is not a length of time: write a number and a unit, as in "10 s" or "1 hour", at most 400 days
      help: did you mean "5 min"?
    12:11: `outcome` cannot be "done"
      help: write "applied", "refused_by_upstream", "not_sent", "unknown", "refused" or "handed_over"
    "#);
}

#[test]
fn a_channel_takes_what_its_kind_takes() {
    insta::assert_snapshot!(bad_notifications("[channel.a]\nkind = 'webhok'\n[channel.b]\nto = 'x'\n[channel.c]\nkind = 'web_push'\ntopic = 'x'\ncontact = 'me'\n[channel.d]\nkind = 'telegram'\nchatt = '1'"), @r#"
    11:8: `kind` cannot be "webhok"
      help: did you mean "webhook"?
    12:10: [channel.b] needs `kind`
      help: write it as in kind = "email"
    16:9: a channel of kind "web_push" takes no `topic`
      help: it takes contact
    17:11: "me" is no contact
      help: write it as in "mailto:me@example.org"
    18:10: [channel.d] needs `token_file`
      help: write it as in token_file = "/run/secrets/d", or token_env = "NAME"
    20:1: `d` has no key `chatt`
      help: did you mean `chat`?
    "#);
    insta::assert_snapshot!(bad_notifications("[channel.a]\nkind = 'slack'\nurl = 'https://hooks.slack.com/services/T0/B0/secret'\n[channel.b]\nkind = 'webhook'\nurl = 'https://u:p@h/x'\nsecret_env = 'a-b'\n[channel.c]\nkind = 'ntfy'\nurl = 'http://ntfy.example.org'"), @r#"
    12:7: the address of a slack webhook is a secret
      help: put it into a file, and name that as `url_file`
    15:7: an address here holds no user and no password
      help: put the secret into a file
    16:14: "a-b" is not the name of an environment variable
      help: write its name, not what it holds, as in "HOOK_SECRET"
    17:10: [channel.c] needs `topic`
      help: write it as in topic = "keystile"
    19:7: this address is outside of your machine, and not encrypted
      help: write https://, or name its IP address and list that in `allow_networks`
    "#);
}

#[test]
fn mail_and_its_password_never_go_over_the_network_in_the_clear() {
    let mail = |smtp: &str| {
        bad(&format!("{SMALL}[channel.m]\nkind = 'email'\nto = 'a@b'\nfrom = 'c@d'\n{smtp}"))
    };
    insta::assert_snapshot!(mail("smtp = 'smtp://mail.example.org'"), @r#"
    9:8: mail and password would go over the network in the clear
      help: write smtps://, or add ?tls=required for STARTTLS; plain smtp:// goes only to this machine
    "#);
    insta::assert_snapshot!(mail("smtp = 'smtps://me:hunter2@mail.example.org'"), @r#"
    9:8: a password stands in this address
      help: put it into a file, and name that as `password_file`
    "#);
    insta::assert_snapshot!(mail("smtp = { url = 'smtps://me@mail.example.org' }"), @r#"
    9:16: there is a user, and no password
      help: put the password into a file, and name that as `password_file`
    "#);
    insta::assert_snapshot!(mail("smtp = 'mail.example.org:465'"), @r#"
    9:8: "mail.example.org:465" is not the address of a mail server
      help: write it as in "smtps://user@mail.example.org"
    "#);
    for smtp in ["'smtp://localhost:25'", "'smtp://127.0.0.1'", "'smtp://h?tls=required'"] {
        good(&format!(
            "{SMALL}[channel.m]\nkind = 'email'\nto = 'a@b'\nfrom = 'c@d'\nsmtp = {smtp}"
        ));
    }
}

#[test]
fn no_address_can_put_a_line_into_a_head() {
    insta::assert_snapshot!(bad(&format!("{SMALL}[channel.m]\nkind = 'email'\nto = [\"a@b\\r\\nBcc: c@d\", 'Me <a@b>', 'a', 'a@b@c']\nfrom = ''\nsmtp = 'smtps://h'")), @r#"
    7:7: "a@b\r\nBcc: c@d" is not an email address
      help: write the address alone, as in "me@example.org"
    7:26: "Me <a@b>" is not an email address
      help: write the address alone, as in "me@example.org"
    7:38: "a" is not an email address
      help: write the address alone, as in "me@example.org"
    7:43: "a@b@c" is not an email address
      help: write the address alone, as in "me@example.org"
    8:8: "" is not an email address
      help: write the address alone, as in "me@example.org"
    "#);
}

#[test]
fn the_file_has_a_key_for_every_setting_of_every_kind() {
    let path = [Step::Key("channel".to_owned()), Step::Key("NAME".to_owned())];
    let keys = schema::keys(&path);
    for kind in &keystile_notify::channel::KINDS {
        for field in kind.fields {
            let key = match field.form {
                FieldForm::Secret => format!("{}_file", field.name),
                FieldForm::Line
                | FieldForm::WebAddress
                | FieldForm::MailAddress
                | FieldForm::MailAddresses
                | FieldForm::MailServer
                | FieldForm::Contact => field.name.to_owned(),
            };
            assert!(keys.contains(&key.as_str()), "{}: {key}", kind.name);
        }
    }
}

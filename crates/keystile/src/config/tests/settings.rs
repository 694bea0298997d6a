//! Mistakes in single values and in the listeners: where each finding stands, what it says, and
//! what helps.

use std::path::Path;

use keystile_core::policy::api::Mode;

use super::{SMALL, bad, bad_api, bad_before, bad_plan};
use crate::config::{Addresses, for_upstream, from_text_with};

#[test]
fn a_quota_is_explained() {
    insta::assert_snapshot!(bad_plan("write_budget = ['100 per dya', '100/day', 'many per day', '5 per 500 days', '5 per 2 days calendar', { quota = '1 per days' , on = 'bookmarks: *' }]"), @r#"
    5:26: "dya" is not a unit of time: write second, minute, hour, day, week, month or year
      help: did you mean `day`?
    5:32: "100/day" is not a quota: write it as "100 per day", "10 per 2 hours" or "500 per month calendar"
      help: did you mean "100 per day"?
    5:44: the amount "many" is not a whole number from 0 to 4294967295
    5:59: a window is at least one second and at most 400 days
    5:77: a calendar window is one minute, hour, day, week, month or year, as in "100 per day calendar"
    "#);
    insta::assert_snapshot!(bad_plan("rate_limit = ['0 per second', '5 per day calendar']"), @r#"
    5:15: this lets nothing pass, ever
      help: write at least "1 per …"
    5:42: a rate limit has a rolling window
      help: leave out `calendar`
    "#);
}

#[test]
fn a_length_of_time_and_a_size_are_explained() {
    insta::assert_snapshot!(bad_before("[gate]\n\
         head_timeout = '10'\n\
         idle_timeout = '10 mins'\n\
         drain_timeout = '2 days'"), @r#"
    2:16: "10" is not a length of time: write a number and a unit, as in "10 s" or "1 hour", at most 400 days
      help: add a unit, as in "10 s"
    3:20: "10 mins" is not a length of time: write a number and a unit, as in "10 s" or "1 hour", at most 400 days
      help: did you mean "10 min"?
    4:17: "2 days" is too long
      help: it can be at most "1 hour"
    "#);
    insta::assert_snapshot!(bad_api("body_max = '10 megs'\n\
         count_body_max = '2 GiB'"), @r#"
    5:12: "10 megs" is not a size for `body_max`: write bytes, or text as in "10 MiB"
    6:18: a body this large cannot be held in memory to be counted
      help: write at most "1 GiB"
    "#);
}

#[test]
fn the_journal_reaches_as_far_back_as_the_budgets() {
    insta::assert_snapshot!(bad("[journal]\n\
         retention = '7 days'\n\
         [api.b]\n\
         upstream = 'http://h'\n\
         [plan.a]\n\
         allow = '*: *'\n\
         write_budget = '5 per month'"), @r#"
    2:13: the journal would forget writes that the budget "5 per 31 days" of plan `a` still counts
      help: keep it for at least "31 days"
    "#);
}

#[test]
fn the_console_is_not_exposed_by_accident() {
    insta::assert_snapshot!(bad_before("[console]\n\
         listen = '0.0.0.0:7080'"), @r#"
    2:10: 0.0.0.0 can be reached by other machines, and the console would go over the network in the clear
      help: listen on "127.0.0.1:7080", or set `tls`, or `behind_proxy = true` where a proxy with TLS stands in front
    "#);
}

#[test]
fn links_for_owners_lead_where_passkeys_work() {
    insta::assert_snapshot!(["example.org", "ftp://example.org", "https://example.org/console",
        "https://192.0.2.1", "http://[::1]:7080", "http://console.example.org", "https://a@b.example"]
        .map(|url| bad_before(&format!("[console]\nurl = '{url}'"))).join("\n"), @r#"
    2:7: "example.org" is not where a console is: write a scheme and a host name, without a path
      help: write it as in url = "https://console.example.org"
    2:7: "ftp://example.org" is not where a console is: write a scheme and a host name, without a path
      help: write it as in url = "https://console.example.org"
    2:7: "https://example.org/console" is not where a console is: write a scheme and a host name, without a path
      help: write it as in url = "https://console.example.org"
    2:7: "https://192.0.2.1" has an address in the place of a host name, and passkeys belong to a name
      help: write it as in url = "https://console.example.org"
    2:7: "http://[::1]:7080" has an address in the place of a host name, and passkeys belong to a name
      help: write it as in url = "https://console.example.org"
    2:7: "http://console.example.org" would go over the network in the clear, and browsers make no passkeys there
      help: write it as in url = "https://console.example.org"
    2:7: "https://a@b.example" is not where a console is: write a scheme and a host name, without a path
      help: write it as in url = "https://console.example.org"
    "#);
}

#[test]
fn an_address_is_listened_on_once() {
    insta::assert_snapshot!(bad_before("[gate]\n\
         listen = ['127.0.0.1:7080', '0.0.0.0:7080']"), @r#"
    2:11: gate and console cannot both listen on 127.0.0.1:7080
      help: give [console] another port, as in listen = "127.0.0.1:7081"
    2:29: 0.0.0.0:7080 is taken by 127.0.0.1:7080 already
      help: leave it out, or change the port
    "#);
    insta::assert_snapshot!(bad_before("[gate]\n\
         listen = ['localhost:7070', ':80', '127.0.0.1', '::1', 'x']"), @r#"
    2:11: "localhost:7070" is not an address to listen on: write an IP address and a port
      help: did you mean "127.0.0.1:7070"?
    2:29: ":80" is not an address to listen on: write an IP address and a port
      help: did you mean "0.0.0.0:80"?
    2:36: "127.0.0.1" is not an address to listen on: write an IP address and a port
      help: did you mean "127.0.0.1:7070"?
    2:49: "::1" is not an address to listen on: write an IP address and a port
      help: did you mean "[::1]:7070"?
    2:56: "x" is not an address to listen on: write an IP address and a port
    "#);
}

#[test]
fn tls_files_must_be_readable() {
    insta::assert_snapshot!(bad_before("[gate]\n\
         tls = { certificate = '/no/such.pem', key = '/etc/passwd' }\n\
         [console]\n\
         tls = { certificate = 'c.pem' }"), @r#"
    2:23: the certificate /no/such.pem cannot be read: No such file or directory (os error 2)
    2:45: /etc/passwd holds no private key in PEM form
    4:7: `tls` needs `key`
      help: write it as in tls = { certificate = "cert.pem", key = "key.pem" }
    4:23: the certificate /srv/c.pem cannot be read: No such file or directory (os error 2)
    "#);
}

#[test]
fn methods_proxies_zones_names_and_prefixes_are_checked() {
    insta::assert_snapshot!(bad_before("time_zone = 'Europe/Berln'\n\
         [gate]\n\
         methods = ['TRACE', 'purge', 'GET']\n\
         trusted_proxies = ['10.0.0.0/33']\n\
         [keys]\n\
         prefix = 'KS_'\n\
         [api.'my notes']\n\
         upstream = 'http://h'\n\
         path = '/n'"), @r#"
    1:13: there is no time zone "Europe/Berln"
      help: did you mean "Europe/Berlin"?
    3:12: TRACE never passes: it could read or tunnel what the gate protects
      help: leave it out
    3:21: "purge" is not an upper-case HTTP method
      help: write "PURGE"
    3:30: warning: GET passes anyway
      help: leave it out
    4:20: "10.0.0.0/33" is not a range of addresses: write an address, or one with a length, as in "10.0.0.0/8"
    6:10: "KS_" is not a key prefix: write 1 to 16 of the characters a-z and 0-9, as in "ks"
    7:6: "my notes" is not a name: write 1 to 64 letters, digits, `-`, `_` or `.`
      help: did you mean [api.my-notes]?
    "#);
}

/// The findings of the small file with addresses that the command line gives.
fn bad_with(text: &str, listen: &[&str], console: Option<&str>) -> String {
    let addresses = Addresses {
        listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        console: console.map(|address| address.parse().unwrap()),
    };
    let text = format!("{text}\n{SMALL}");
    let report = from_text_with(&text, "keystile.toml", Path::new("/srv"), &addresses).unwrap_err();
    let lines = report.problems().iter().map(ToString::to_string);
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn addresses_of_the_command_line_keep_the_rules_of_the_file() {
    insta::assert_snapshot!(bad_with("", &[], Some("0.0.0.0:7180")), @"the command line:1:11: 0.0.0.0 can be reached by other machines, and the console would go over the network in the clear");
    insta::assert_snapshot!(bad_with("", &["127.0.0.1:7080"], None), @"the command line:1:10: gate and console cannot both listen on 127.0.0.1:7080");
    insta::assert_snapshot!(bad_with("", &["0.0.0.0:1", "127.0.0.1:1"], None), @"the command line:1:29: 127.0.0.1:1 is taken by 0.0.0.0:1 already");
    insta::assert_snapshot!(bad_with("", &["127.0.0.1:7071"], None), @r#"keystile.toml:3:12: "http://127.0.0.1:7071" is the gate itself, which would call itself without end"#);
    insta::assert_snapshot!(bad_with("data = 5", &["127.0.0.1:9"], Some("127.0.0.1:9")), @"
    keystile.toml:1:8: `data` must be a string
    the command line:1:32: gate and console cannot both listen on 127.0.0.1:9
    ");
    let upstream = "http://127.0.0.1:3000";
    let exposed = Addresses { console: "0.0.0.0:7180".parse().ok(), ..Addresses::default() };
    let data = std::path::PathBuf::from("d");
    let report = for_upstream(upstream, &exposed, Mode::Enforce, data).unwrap_err();
    assert!(report.to_string().starts_with("the command line:1:11: 0.0.0.0 can be reached"));
    let behind = "[console]\nlisten = '127.0.0.1:7080'\nbehind_proxy = true\n".to_owned() + SMALL;
    let guarded = from_text_with(&behind, "keystile.toml", Path::new("/srv"), &exposed).unwrap();
    assert_eq!(Some(guarded.console.listen), exposed.console, "the file says what guards it");
}

#[test]
fn the_backend_of_3scale_is_reached_only_where_it_should() {
    insta::assert_snapshot!(bad_before("[threescale_backend]\n\
         listen = '0.0.0.0:7090'\n\
         threads = 65\n\
         internal = { password_file = 'no-such-file' }"), @r#"
    2:10: 0.0.0.0 can be reached by other machines, and keys would go over the network in the clear
      help: listen on "127.0.0.1:7090", or set `tls`, or `behind_proxy = true` where only a trusted network or a proxy with TLS reaches it
    3:11: `threads` is a number from 1 to 64
    4:12: `internal` has no `user`
      help: write it as in user = "internal"
    4:30: "no-such-file" cannot be read: No such file or directory (os error 2)
      help: the file holds the password and nothing else
    "#);
    insta::assert_snapshot!(bad_before("[threescale_backend]\n\
         listen = '127.0.0.1:7070'\n\
         api = 'bookmark'\n\
         writes = ['pöst']\n\
         internal = { user = 'a:b' }"), @r#"
    2:10: 127.0.0.1:7070 is taken by another listener already
      help: change the port
    3:7: there is no API named "bookmark"
      help: did you mean "bookmarks"?
    4:11: "pöst" is not the system name of a metric
      help: write it as in writes = ["post"]
    5:12: `internal` has no `password_file`
      help: write it as in password_file = "internal-password"
    "#);
}

#[test]
fn gateways_show_tokens_and_find_a_backend() {
    insta::assert_snapshot!(bad_before("[threescale_backend]\n\
         gateways = { token_file = 'none', url = 'backend.example.org/path' }"), @r#"
    2:12: `gateways` has no `service_token_file`
      help: write it as in service_token_file = "gateway-service-token"
    2:27: "none" cannot be read: No such file or directory (os error 2)
      help: the file holds the token and nothing else
    2:41: "backend.example.org/path" is no address of a backend
      help: write it as in url = "https://backend.example.org"
    "#);
}

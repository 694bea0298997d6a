//! Mistakes in APIs and plans: where each finding stands, what it says, and what helps.

use super::{bad, bad_api, bad_plan};

#[test]
fn a_rule_for_an_api_that_does_not_exist_is_found() {
    insta::assert_snapshot!(bad_plan("write_budget = { quota = '1 per day', on = 'bookmark: DELETE *' }"), @r#"
    5:45: no API is named "bookmark"
      help: did you mean `bookmarks`?
    "#);
    insta::assert_snapshot!(bad("[api.bookmarks]\n\
         upstream = 'http://h'\n\
         [plan.open]\n\
         allow = ['photos: *', 'GET /x', 'bookmarks']"), @r#"
    4:11: no API is named "photos"
      help: write bookmarks, or `*` for every API
    4:23: name the API first, as in "bookmarks: DELETE *"
      help: did you mean "bookmarks: GET /x"?
    4:33: name the API first, as in "bookmarks: DELETE *"
      help: did you mean "bookmarks: *"?
    "#);
}

#[test]
fn a_pattern_is_explained() {
    insta::assert_snapshot!(bad("[api.bookmarks]\n\
         upstream = 'http://h'\n\
         [plan.open]\n\
         allow = ['bookmarks: GTE /x', 'bookmarks: get /x', 'bookmarks: GET, POST /x', 'bookmarks: GET x', 'bookmarks: GET /a/../b', 'bookmarks: GET /a/{id', 'bookmarks: /x', 'bookmarks:', \"bookmarks: GET /a//b\"]"), @r#"
    4:22: no request with the method "GTE" passes the gate
      help: did you mean `GET`? Further methods pass where [gate] lists them in `methods`
    4:43: "get" is not an upper-case HTTP method
      help: did you mean `GET`?
    4:64: write `*`, or methods and a path, as in "GET,POST /bookmarks/{id}" or "DELETE *"
      help: did you mean "GET,POST /x"?
    4:95: a path template is `*` or begins with `/`
      help: did you mean "/x"?
    4:118: the segment ".." can never be part of a path here
    4:144: in "{id", one `{name}` may stand, with plain text before and after it
    4:162: write `*`, or methods and a path, as in "GET,POST /bookmarks/{id}" or "DELETE *"
      help: did you mean "* /x"?
    4:167: write `*`, or methods and a path, as in "GET,POST /bookmarks/{id}" or "DELETE *"
      help: did you mean "*"?
    4:197: the segment "" can never be part of a path here
    "#);
}

#[test]
fn what_other_routers_understand_is_a_mistake_with_what_to_write_here() {
    insta::assert_snapshot!(bad("[api.b]\n\
         upstream = 'http://h'\n\
         [plan.open]\n\
         allow = [\n\
         'b: GET /files/{path+}',\n\
         'b: GET /files/{*rest}',\n\
         'b: GET /files/**',\n\
         'b: GET /files/{rest...}',\n\
         'b: GET /items/{id:[0-9]+}',\n\
         'b: GET /items/{id:int}',\n\
         'b: GET /items/:id',\n\
         'b: GET /items/<int:id>',\n\
         'b: GET /items/{a}-{b}',\n\
         'b: GET /items/*/x',\n\
         'b: GET /items/*.json',\n\
         'b: GET /items/[id]',\n\
         'b: POST /items:{verb}',\n\
         'b: POST /items/{id}:archive',\n\
         ]"), @r#"
    5:16: "{path+}" is not understood: for whatever follows, write `*` as the last segment
    6:16: "{*rest}" is not understood: for whatever follows, write `*` as the last segment
    7:16: "**" is not understood: for whatever follows, write `*` as the last segment
    8:16: "{rest...}" is not understood: for whatever follows, write `*` as the last segment
    9:16: "{id:[0-9]+}" is not understood: any one segment is `{id}`, whatever its form
    10:16: "{id:int}" is not understood: any one segment is `{id}`, whatever its form
    11:16: ":id" is not understood: any one segment is `{id}`, whatever its form
    12:16: "<int:id>" is not understood: any one segment is `{id}`, whatever its form
    13:16: in "{a}-{b}", one `{name}` may stand, with plain text before and after it
    14:16: in "*", `*` must stand alone at the end; any one segment is `{name}`
    15:16: in "*.json", `*` must stand alone at the end; any one segment is `{name}`
    16:16: the segment "[id]" can never be part of a path here
    "#);
}

#[test]
fn a_path_in_another_case_than_its_api_is_found() {
    let configuration = super::good(
        "[api.b]\nupstream='http://h'\npath='/V2'\n\
         [plan.open]\nallow=['b: GET /v2/x', 'b: GET /V2/x']",
    );
    let lines: Vec<_> = configuration.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"keystile.toml:5:16: warning: no request of this API has such a path: all begin with "/V2""#);
}

#[test]
fn a_plan_that_allows_nothing_is_refused() {
    insta::assert_snapshot!(bad("[api.b]\n\
         upstream = 'http://h'\n\
         [plan.open]\n\
         [plan.none]\n\
         allow = []"), @r#"
    3:7: [plan.open] allows nothing
      help: say what it includes, as in allow = ["b: *"]
    5:9: [plan.none] allows nothing
      help: say what it includes, as in allow = ["b: *"]
    "#);
}

#[test]
fn budgets_and_limits_are_held_against_each_other() {
    insta::assert_snapshot!(bad_plan("write_budget = ['5 per day', '7 per 24 hours', { quota = '1 per hour', name = 'a' }, { quota = '2 per day', name = 'a', on = 'bookmarks: POST *' }, { quota = '3 per day', on = [] }]\n\
         rate_limit = ['1 per second', '2 per minute', '3 per hour', '4 per day', '5 per week']"), @r#"
    5:30: "5 per day" bounds the same writes over the same window already
      help: keep the smaller of the two
    5:86: another budget of this plan is named "a"
      help: give it another name, or leave out `name`
    5:149: "5 per day" bounds the same writes over the same window already
      help: keep the smaller of the two
    5:177: `on` is empty, so this budget would count nothing
      help: leave out `on` to count every write
    6:74: a plan has at most 4 rate limits
      help: leave out those that another one makes unnecessary
    "#);
}

#[test]
fn keyless_plans_are_held_against_each_other() {
    insta::assert_snapshot!(bad("[api.b]\n\
         upstream = 'http://h'\n\
         [plan.a]\n\
         keyless = true\n\
         allow = '*: *'\n\
         [plan.b]\n\
         keyless = true\n\
         allow = '*: *'\n\
         lock = { level = 'all' }"), @"
    7:11: the plan of callers without a key is `a` already
      help: leave out `keyless` in one of the two
    9:8: callers without a key have no key that could lock
      help: leave out `lock`: past a budget their writes are refused until there is room again
    ");
}

#[test]
fn two_apis_with_the_same_host_and_path_are_refused() {
    insta::assert_snapshot!(bad("[api.a]\n\
         upstream = 'http://h'\n\
         path = '/V2'\n\
         [api.b]\n\
         upstream = 'http://h'\n\
         path = '/v2/'\n\
         [plan.a]\n\
         allow = '*: *'"), @r#"
    4:6: [api.a] and [api.b] have a host and the path "/v2" in common
      help: tell them apart with `hosts` or `path`
    "#);
}

#[test]
fn an_upstream_is_an_origin() {
    insta::assert_snapshot!(bad("[plan.a]\n\
         allow = '*: *'\n\
         [api.b]\n\
         upstream = ['127.0.0.1:3000', 'ftp://h', 'htp://h', 'http://h/v2', 'http://me:secret@h', 'http://h:99999', 'http://', 'http://localhost:7070', 'http://h?x']\n\
         [api.c]\n\
         path = '/c'"), @r#"
    4:13: "127.0.0.1:3000" is not an origin: write http:// or https://, a host, and a port where needed
      help: did you mean "http://127.0.0.1:3000"?
    4:32: an upstream is reached over http or https, not "ftp"
    4:43: an upstream is reached over http or https, not "htp"
      help: did you mean "http://h"?
    4:62: an upstream is an origin, without path or query
      help: write "http://h": the path of a request is forwarded as it is
    4:76: an upstream has no user name or password
      help: requests are forwarded with the credentials that the caller sends to the API
    4:98: "h:99999" is not a host, or a host and a port from 1 to 65535
    4:116: "" is not a host, or a host and a port from 1 to 65535
    4:119: "http://localhost:7070" is the gate itself, which would call itself without end
      help: the gate listens on 127.0.0.1:7070; the API needs another port
    4:153: an upstream is an origin, without path or query
      help: write "http://h": the path of a request is forwarded as it is
    5:6: [api.c] has no upstream
      help: say where its requests go, as in upstream = ["http://127.0.0.1:7071"]
    "#);
}

#[test]
fn hosts_and_paths_are_checked() {
    insta::assert_snapshot!(bad_api("hosts = ['https://api.example.org/', '*', 'a b']\n\
         path = '/v2/*'\n\
         key_header = 'X_Key'\n\
         key_query_parameter = 'a b'"), @r#"
    5:10: "https://api.example.org/" is not a host name: write it without scheme, port and path
      help: did you mean "api.example.org"?
    5:38: "*" is not a host name: write it without scheme, port and path
      help: leave out `hosts`: an API without it has every host
    5:43: "a b" is not a host name: write it without scheme, port and path
    6:8: "/v2/*" is not a path prefix: write it from `/`, without wildcards, query or escapes
      help: did you mean "/v2"?
    7:14: a header field with `_` never passes: servers read it in different ways
      help: did you mean "X-Key"?
    8:23: "a b" is not the name of a query parameter
      help: write letters, digits, `_`, `-`, `.` or `~`, as in "api_key"
    "#);
    insta::assert_snapshot!(bad_api("key_header = 'Host'\n\
         path = 'v2'"), @r#"
    5:14: the field "Host" has another purpose and cannot carry the key
      help: write another field, as in "X-API-Key"
    6:8: "v2" is not a path prefix: write it from `/`, without wildcards, query or escapes
      help: did you mean "/v2"?
    "#);
}

#[test]
fn keys_in_two_parts_are_checked() {
    insta::assert_snapshot!(bad_api("key_pair = { id = 'app_id' }"), @r#"
    5:12: `key_pair` has no `secret`
      help: write it as in secret = "app_key"
    "#);
    insta::assert_snapshot!(bad_api("key_pair = { id = 'app_id', secret = 'a b' }"), @r#"
    5:38: "a b" is not the name of a query parameter
      help: write letters, digits, `_`, `-`, `.` or `~`, as in "app_key"
    "#);
    insta::assert_snapshot!(bad_api("key_pair = { id = 'app_id', secret = 'Cookie', in = 'header' }"), @r#"
    5:19: a header field with `_` never passes: servers read it in different ways
      help: did you mean "app-id"?
    5:38: the field "Cookie" has another purpose and cannot carry the key
      help: write another field, as in "X-API-Key"
    "#);
    insta::assert_snapshot!(bad_api("key_query_parameter = 'user_key'\n\
         key_pair = { id = 'app_id', secret = 'user_key' }"), @r"
    6:12: two parts of a key cannot have one name, nor that of a whole key
      help: give each place that a key is read from a name of its own
    ");
}

#[test]
fn costs_are_checked() {
    insta::assert_snapshot!(bad_api("[[api.bookmarks.operation]]\n\
         match = 'POST /a'\n\
         cost = 0\n\
         [[api.bookmarks.operation]]\n\
         match = 'POST /b'\n\
         cost = 'items'\n\
         type = 'graphql'\n\
         [[api.bookmarks.operation]]\n\
         match = 'POST /c'\n\
         items_at = 'x'\n\
         cost_max = 5\n\
         [[api.bookmarks.operation]]\n\
         match = 'POST /d'\n\
         cost = '5'\n\
         [[api.bookmarks.operation]]\n\
         cost = -1\n\
         [[api.bookmarks.operation]]\n\
         match = 'POST /e'\n\
         cost = 'item'\n\
         type = 'jsonrpc'\n\
         [[api.bookmarks.operation]]\n\
         match = 'POST /f'\n\
         type = 'graphql'\n\
         treat_as = 'read'"), @r#"
    7:8: a write is never free, so it cannot cost 0
      help: where the call changes nothing, write treat_as = "read" instead of `cost`
    10:8: the body of an operation with a `type` is counted by that type
      help: leave out either `type` or `cost = "items"`
    14:12: `items_at` says where the items are, but the cost is not by items
      help: add `cost = "items"`, or leave out `items_at`
    15:12: `cost_max` is for bodies that are counted, and nothing is counted here
      help: add `cost = "items"` or a `type`, or leave out `cost_max`
    18:8: a cost is a number, or "items"
      help: write 5 without quotes
    19:1: this operation needs `match`
      help: write it as in match = "POST /bookmarks/import"
    20:8: a cost is a number from 1 to 4294967295
    23:8: a cost is a number, or "items"
      help: did you mean "items"?
    24:8: `type` cannot be "jsonrpc"
      help: did you mean "json_rpc"?
    28:12: the body of this operation tells whether it writes, and how much
      help: leave out either `treat_as` or what counts the body
    "#);
}

#[test]
fn locks_are_checked() {
    insta::assert_snapshot!(bad_plan("never_lock = true\n\
         lock = { growth = 2 }"), @r#"
    5:14: the plan says both how keys lock and that they never do
      help: leave out either `lock` or `never_lock`
    6:19: a lock that holds until the owner unlocks the key does not grow
      help: give it a length, as in until = "1 hour", or leave this out
    "#);
    insta::assert_snapshot!(bad_plan("lock = { until = '2 hours', max = '1 hour', growth = 0 }"), @"
    5:35: already the first lock, 2 hours, is longer than this
      help: write a longer `max`, or a shorter `until`
    5:54: `growth` is a number from 1 to 100
    ");
}

#[test]
fn whose_writes_a_budget_counts_is_checked() {
    insta::assert_snapshot!(bad_plan("keyless = true\n\
         write_budget = [{ quota = '5 per day', per = 'application' }, { quota = '6 per day', per = 'plan' }]"), @r#"
    6:46: callers without a key have no application
      help: leave out `per` to count each address, or write per = "plan"
    "#);
    let said = bad_plan("write_budget = [{ quota = '5 per day', per = 'aplication' }]");
    assert!(said.contains("5:46:") && said.contains("\"application\""), "{said}");
    let twins = "{ quota = '5 per day', per = 'plan' }, { quota = '9 per day', per = 'plan' }";
    let said = bad_plan(&format!("write_budget = [{twins}, '7 per day']"));
    assert!(
        said.contains("\"5 per day\" bounds the same writes over the same window already"),
        "{said}"
    );
    assert!(!said.contains("7 per day"), "a budget of each key is another one: {said}");
}

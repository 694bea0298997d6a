//! The file as it is written. The comments of the fields are the reference of the configuration.
//!
//! Every field is optional here, also where a value is needed: what is missing is reported when the
//! file is resolved, together with everything else that is wrong.

mod key_pair;
mod notifications;
mod threescale;
mod threescale_account;
mod tls;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use key_pair::{KeyPair, PairPlace};
pub(super) use notifications::{Channel, Smtp, Watch, WatchEvent, WatchOutcome};
pub(super) use threescale::{Gateways, InternalUser, ThreescaleBackend};
pub(super) use threescale_account::Threescale;
pub(super) use tls::Tls;

use super::value::{NumberOrText, OneOrMany, Spanned, TextOr};

/// The configuration of Keystile: a TOML file, `keystile.toml`.
///
/// Lengths of time are text with a unit: `ms`, `s`, `min`, `hour`, `day` or `week`, as in `"10 s"`,
/// and at most 400 days. Sizes are bytes, or text with a unit: `"64 KiB"`, `"10 MiB"`, `"1 GiB"`,
/// or `kB`, `MB`, `GB` in steps of 1000. Relative paths start at the folder of the file. Wherever
/// an array is expected, a single value may be written without brackets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(title = "Keystile configuration")]
pub(super) struct File {
    /// The folder of the store, the journal and the control socket. It is created when it is
    /// missing and must be on a local disk: the store does not work on a network file system.
    #[schemars(extend("default" = "keystile-data"))]
    pub(super) data: Option<Spanned<String>>,
    /// How long a write may wait to be durable; from 100 ms to 1 minute. A write whose disk takes longer
    /// is refused with 503 and not sent later, and health says what is wrong.
    #[schemars(extend("default" = "5 s"))]
    pub(super) store_timeout: Option<Spanned<String>>,
    /// The time zone in which `calendar` windows begin, as a name of the IANA database.
    #[schemars(extend("default" = "UTC", "examples" = ["Europe/Berlin"]))]
    pub(super) time_zone: Option<Spanned<String>>,
    /// The public listener, which callers connect to.
    pub(super) gate: Gate,
    /// The owner's listener: console, admin API, health and metrics.
    pub(super) console: Console,
    /// 3scale's backend, served by Keystile in its place.
    pub(super) threescale_backend: Option<Spanned<ThreescaleBackend>>,
    /// The format of new keys.
    pub(super) keys: Keys,
    /// The record of every write.
    pub(super) journal: Journal,
    /// The APIs that are guarded, each under a name that rules use: `[api.bookmarks]`. At least one is
    /// required. A request belongs to the one with the longest matching `path`, and among equals to the
    /// one that names its host.
    #[schemars(with = "BTreeMap<String, Api>")]
    pub(super) api: BTreeMap<Spanned<String>, Api>,
    /// The plans that applications can have: `[plan.open]`. A plan is an access tier: which operations
    /// its keys may call, how many writes they may make, and what happens beyond that. At least one is
    /// required.
    #[schemars(with = "BTreeMap<String, Plan>")]
    pub(super) plan: BTreeMap<Spanned<String>, Plan>,
    /// What the owner is notified about, each rule under its own name: `[watch.deletes]`.
    #[schemars(with = "BTreeMap<String, Watch>")]
    pub(super) watch: BTreeMap<Spanned<String>, Watch>,
    /// The channels that notify the owner: `[channel.owner-mail]`.
    #[schemars(with = "BTreeMap<String, Channel>")]
    pub(super) channel: BTreeMap<Spanned<String>, Channel>,
    /// Accounts of 3scale that stay in charge of keys and plans, each under its own name:
    /// `[threescale.main]`.
    #[schemars(with = "BTreeMap<String, Threescale>")]
    pub(super) threescale: BTreeMap<Spanned<String>, Threescale>,
}

/// The public listener, and the limits of its connections.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Gate {
    /// Addresses to listen on, each an IP address and a port. `0.0.0.0` is every IPv4 address of
    /// the machine.
    #[schemars(extend("default" = ["127.0.0.1:7070"], "examples" = [["0.0.0.0:443", "[::]:443"]]))]
    pub(super) listen: Option<OneOrMany<String>>,
    /// Certificate and key for HTTPS with HTTP/1.1 and HTTP/2. Without it the gate speaks plain HTTP, for
    /// use behind a proxy that terminates TLS, or on one machine.
    pub(super) tls: Option<Spanned<Tls>>,
    /// Threads that serve requests, from 1 to 1024. Without it, one for each core of the machine.
    #[schemars(extend("examples" = [4]))]
    pub(super) workers: Option<Spanned<i64>>,
    /// HTTP methods that are accepted besides GET, HEAD, OPTIONS, QUERY, POST, PUT, PATCH and DELETE.
    /// Each of them counts as a write unless an operation says otherwise. TRACE and CONNECT cannot be
    /// allowed.
    #[schemars(extend("default" = [], "examples" = [["PROPFIND", "MKCOL"]]))]
    pub(super) methods: Option<OneOrMany<String>>,
    /// Addresses or ranges of the proxies in front of the gate. Only they are believed when they
    /// name the caller in X-Forwarded-For.
    #[schemars(extend("default" = [], "examples" = [["10.0.0.0/8", "2001:db8::1"]]))]
    pub(super) trusted_proxies: Option<OneOrMany<String>>,
    /// How long a request head may take from its first byte to its last; at most 1 hour.
    #[schemars(extend("default" = "10 s"))]
    pub(super) head_timeout: Option<Spanned<String>>,
    /// How long a connection may be idle between two requests, or a body between two bytes; at most
    /// 1 day.
    #[schemars(extend("default" = "30 s"))]
    pub(super) idle_timeout: Option<Spanned<String>>,
    /// The average bytes per second that a request body must deliver once ten seconds have passed. 0 sets
    /// no minimum.
    #[schemars(extend("default" = 240))]
    pub(super) body_rate_min: Option<Spanned<i64>>,
    /// How long requests in progress may take to finish when Keystile is stopped; at most 1 hour.
    #[schemars(extend("default" = "10 s"))]
    pub(super) drain_timeout: Option<Spanned<String>>,
    /// At most this many concurrent connections, from 1 to 1000000. Further ones are answered with 503.
    #[schemars(extend("default" = 10000))]
    pub(super) connections_max: Option<Spanned<i64>>,
    /// At most this many concurrent connections from one address (for IPv6, from one /64), from 1 to
    /// 1000000. Raise it where all callers come through one proxy.
    #[schemars(extend("default" = 1000))]
    pub(super) connections_per_address: Option<Spanned<i64>>,
    /// The memory that buffers for callers may take, in bytes or with a unit, from 1 MiB to 64 GiB. One
    /// third holds answers that callers are slow to read: a connection may use up to 1 MiB of it, or 16
    /// KiB once this third is full. One third holds request bodies that are counted: when it is full, the
    /// body that has been arriving for longest is answered with 503. One connection may use a quarter of
    /// it at most, but a body that is alone may be as large as `count_body_max` allows. One third holds
    /// requests over HTTP/2, 32 KiB and their head each: when it is full, further requests wait, except
    /// for one of each connection, and connections that read nothing for 2 seconds while others wait are
    /// closed.
    #[schemars(extend("default" = "36 MiB"))]
    pub(super) buffers_max: Option<Spanned<NumberOrText>>,
    /// How many requests with an unknown key one address may make, as a rolling quota. Beyond it, the
    /// address is answered with 429 for a while, so that keys cannot be guessed.
    #[schemars(extend("default" = "300 per minute"))]
    pub(super) key_failures: Option<Spanned<String>>,
}

/// The owner's listener: console, admin API, health and metrics.
///
/// It accepts 512 concurrent connections, and 128 from one address (an IPv6 /64) unless `behind_proxy` is
/// set. Each has 10 seconds for its first head, 15 for a body and to read more of an answer, and may be
/// idle for 60. When there are too many, the one that has kept the console waiting for longest is closed
/// to make room, so health checks are answered however many connections are held open.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Console {
    /// The one address to listen on. An address that other machines can reach is refused unless there is
    /// `tls` or `behind_proxy`, because the console would otherwise be served in the clear.
    #[schemars(extend("default" = "127.0.0.1:7080"))]
    pub(super) listen: Option<Spanned<String>>,
    /// Certificate and key for HTTPS.
    pub(super) tls: Option<Spanned<Tls>>,
    /// States that a proxy with TLS stands in front, and that nobody can reach this address without
    /// passing through it.
    #[schemars(extend("default" = false))]
    pub(super) behind_proxy: Option<Spanned<bool>>,
    /// Where owners open the console: a scheme, a host name, and a port where that is not the usual
    /// one. Links for owners begin with it, and passkeys belong to its host. Without it, `localhost`
    /// and the port of `listen`, which works on this machine.
    #[schemars(extend("examples" = ["https://console.example.org"]))]
    pub(super) url: Option<Spanned<String>>,
    /// Who may read `/healthz` and `/readyz`, which says why writes cannot be recorded: `open`, whoever
    /// reaches the console's address; `token`, whoever shows a token of the admin API; `off`, nobody.
    #[schemars(extend("default" = "open"))]
    pub(super) health: Option<Spanned<Access>>,
    /// Who may read `/metrics`, which names the APIs and counts their calls: `open`, whoever reaches the
    /// console's address; `token`, whoever shows a token of the admin API (in Prometheus, a scrape's
    /// `authorization`); `off`, nobody.
    #[schemars(extend("default" = "open"))]
    pub(super) metrics: Option<Spanned<Access>>,
}

/// Who may read what machines ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Access {
    /// Whoever reaches the console's address.
    Open,
    /// Whoever shows a token of the admin API.
    Token,
    /// Nobody.
    Off,
}

/// The format of new keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Keys {
    /// What new keys begin with: 1 to 16 of a-z and 0-9. Secret scanners recognize keys by it. Existing
    /// keys keep theirs and continue to work.
    #[schemars(extend("default" = "ks", "examples" = ["acme"]))]
    pub(super) prefix: Option<Spanned<String>>,
}

/// The record of every write.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Journal {
    /// How long records are kept. Without it, they are kept forever. It may not be shorter than the
    /// longest window of a write budget, because budgets are counted from the journal after a restart.
    #[schemars(extend("examples" = ["90 days"]))]
    pub(super) retention: Option<Spanned<String>>,
}

/// One protected HTTP API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Api {
    /// Where its requests go: one or more origins, `http://` or `https://` with a host and no path. The
    /// path of a request is forwarded as it is. Several are used in turn, and a request is tried at
    /// another one only when it is certain that nothing of it was sent. Certificates of https origins are
    /// verified. Required.
    #[schemars(required, extend("examples" = [["http://127.0.0.1:7071"]]))]
    pub(super) upstream: Option<OneOrMany<String>>,
    /// Host names that belong to this API; `*.example.org` is every name below `example.org`. Empty
    /// is every host.
    #[schemars(extend("default" = [], "examples" = [["api.example.org"]]))]
    pub(super) hosts: Option<OneOrMany<String>>,
    /// The path prefix that belongs to this API, in whole segments: `/v2` covers `/v2` and
    /// `/v2/bookmarks`, but not `/v20`. It is not removed before forwarding, and paths in rules include
    /// it. Requests must spell it exactly: in different case or with escapes, a path belongs to no API.
    #[schemars(extend("default" = "/", "examples" = ["/v2"]))]
    pub(super) path: Option<Spanned<String>>,
    /// How strictly the API is guarded. `enforce`: the policy applies. `observe`: nothing is refused that
    /// can be forwarded faithfully, and the journal says what would have been refused. `off`: requests
    /// are forwarded as they are, without keys, counting or journal.
    #[schemars(extend("default" = "enforce"))]
    pub(super) mode: Option<Spanned<Mode>>,
    /// Allows `;` in paths, for APIs with matrix parameters. It is refused otherwise, because servers
    /// interpret it differently.
    #[schemars(extend("default" = false))]
    pub(super) matrix_parameters: Option<Spanned<bool>>,
    /// The header field that carries the key. `Authorization: Bearer`, and the user name of Basic
    /// authentication, are always read too. Where this is set, anything in the field is taken for a key.
    /// Otherwise `X-API-Key` is read, and a value that does not have the form of a key is left to the API
    /// as its own credential, as is anything else in `Authorization`.
    #[schemars(extend("examples" = ["X-My-Key"]))]
    pub(super) key_header: Option<Spanned<String>>,
    /// A query parameter that may carry the key. Without it, none is read: URLs end up in logs, and a key
    /// in a URL ends up there with it.
    #[schemars(extend("examples" = ["api_key"]))]
    pub(super) key_query_parameter: Option<Spanned<String>>,
    /// Where a key is read that comes in two parts, as an id with a secret. It is looked up as both with a colon
    /// between them, which is also its text for `keystile key import`. With `key_header = "Authorization"` it is
    /// read from Basic authentication too.
    pub(super) key_pair: Option<Spanned<KeyPair>>,
    /// Forwards the key to the upstream instead of removing it. The application, key id and plan are
    /// forwarded in X-Keystile-* fields in either case.
    #[schemars(extend("default" = false))]
    pub(super) forward_key: Option<Spanned<bool>>,
    /// Uses HTTP/2 with prior knowledge for `http://` origins, as gRPC servers expect. For `https://` it
    /// is negotiated in any case.
    #[schemars(extend("default" = false))]
    pub http2: Option<Spanned<bool>>,
    /// A PEM file with certificates to trust for `https://` origins, besides those of the system.
    #[schemars(extend("examples" = ["internal-ca.pem"]))]
    pub(super) trusted_certificates: Option<Spanned<String>>,
    /// How long connecting to an origin may take, with TLS; at most 1 hour.
    #[schemars(extend("default" = "5 s"))]
    pub(super) connect_timeout: Option<Spanned<String>>,
    /// How long the upstream may take from the end of a request to the head of its answer; at most 1 day.
    /// A write that is cut off by this stays counted, with outcome `unknown`.
    #[schemars(extend("default" = "60 s"))]
    pub(super) first_byte_timeout: Option<Spanned<String>>,
    /// How long a whole exchange may take, from the request's start to the answer's end; at most 30 days.
    /// Without it there is no limit, so that downloads and event streams can run.
    #[schemars(extend("examples" = ["10 min"]))]
    pub(super) total_timeout: Option<Spanned<String>>,
    /// Forwards the Host field of the request. `false` sends the name of the origin instead, which
    /// some hosted upstreams need.
    #[schemars(extend("default" = true))]
    pub(super) keep_host: Option<Spanned<bool>>,
    /// The largest request body, in bytes or with a unit. Larger ones are answered with 413. Without it
    /// there is no limit; bodies are streamed and take no memory.
    #[schemars(extend("examples" = ["10 MiB"]))]
    pub(super) body_max: Option<Spanned<NumberOrText>>,
    /// The largest body that is held in memory to be counted, where an operation's cost is in its
    /// body; at most 1 GiB. A larger one is answered with 413.
    #[schemars(extend("default" = "1 MiB"))]
    pub(super) count_body_max: Option<Spanned<NumberOrText>>,
    /// Rules for individual operations. When several match a request, the strictest applies. An operation
    /// without a rule is a read or a write by its method, and a write costs 1.
    #[serde(default)]
    pub(super) operation: Vec<Spanned<Operation>>,
}

/// How strictly an API is guarded.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    /// The policy holds.
    Enforce,
    /// Nothing is refused, everything is journaled.
    Observe,
    /// Requests pass as they are.
    Off,
}

/// A rule for some operations of an API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Operation {
    /// Which operations: methods and a path, as in `POST /bookmarks/import`, `PUT,PATCH /bookmarks/{id}`,
    /// `DELETE *` or `*`. `{name}` is any one segment of a path, or a part of one as in
    /// `/bookmarks/{id}:archive`; a final `*` matches the rest of the path. Required.
    #[schemars(required, extend("examples" = ["POST /bookmarks/import"]))]
    pub(super) r#match: Option<Spanned<String>>,
    /// What one call takes from each write budget: a number from 1, or `"items"` for one per entry
    /// of the JSON array in the body, which must be sent as `application/json`; an empty array costs
    /// 1. A write that no rule names costs 1.
    #[schemars(extend("examples" = [5, "items"]))]
    pub(super) cost: Option<Spanned<NumberOrText>>,
    /// With `cost = "items"`: the field of the body's top-level object that holds the array.
    /// Without it the body is the array.
    #[schemars(extend("examples" = ["bookmarks"]))]
    pub(super) items_at: Option<Spanned<String>>,
    /// The cost of a call whose body cannot be counted because it has another media type or charset than
    /// the rule names, a content coding, or more than one interpretation. Without it, such a call is
    /// refused with 400.
    #[schemars(extend("examples" = [100]))]
    pub(super) cost_max: Option<Spanned<i64>>,
    /// Makes a call a `"read"` or a `"write"` whatever its method. `"read"` is for searches that
    /// use POST, `"write"` for a GET that changes something.
    pub(super) treat_as: Option<Spanned<Treatment>>,
    /// The kind of body that determines whether a call writes, and what it costs. `graphql`: a mutation
    /// costs one per root field, queries are reads; sent as `application/json`, as `application/graphql`,
    /// or as one `query` parameter. `json_rpc`: one per entry of a batch, sent as `application/json`;
    /// an empty batch costs 1.
    pub(super) r#type: Option<Spanned<BodyType>>,
    /// Allows the operation to become a WebSocket. The upgrade counts as one call; what flows afterwards
    /// is not counted.
    #[schemars(extend("default" = false))]
    pub(super) websocket: Option<Spanned<bool>>,
    /// Which writes stay counted: all that were `sent`, or only those that were `applied`, so that
    /// a 4xx answer of the upstream gives its write back.
    #[schemars(extend("default" = "sent"))]
    pub(super) count: Option<Spanned<Count>>,
}

/// Whether a call reads or writes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Treatment {
    /// It reads.
    Read,
    /// It writes.
    Write,
}

/// What kind of body tells the cost.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BodyType {
    /// A GraphQL request.
    #[serde(rename = "graphql")]
    GraphQl,
    /// A JSON-RPC request or batch.
    JsonRpc,
}

/// Which writes stay counted.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Count {
    /// All that were sent.
    Sent,
    /// Those that the upstream did not refuse.
    Applied,
}

/// What the keys of an access tier may do.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Plan {
    /// Makes this the plan for callers without a key. They are counted by address and cannot be locked.
    /// At most one plan is keyless; without one, every call needs a key.
    #[schemars(extend("default" = false))]
    pub(super) keyless: Option<Spanned<bool>>,
    /// The operations that the plan includes: an API, a colon, and what `match` of an operation takes, as
    /// in `"bookmarks: *"` or `"bookmarks: GET,POST /bookmarks/{id}"`. `"*: GET *"` is every API.
    /// Required.
    #[schemars(required, extend("examples" = [["bookmarks: GET *", "bookmarks: POST /bookmarks"]]))]
    pub(super) allow: Option<OneOrMany<String>>,
    /// How many writes a key may make, or several keys together; exceeding any of these budgets locks. Each is `"N per <unit>"`
    /// or `"N per <k> <units>"`, from second to year: any interval of that length holds at most N writes.
    /// With `calendar` after it, the window is the current minute, hour, day, week, month or year in
    /// `time_zone`. A table is a budget that counts only some operations. Every budget that counts a
    /// write must have room for it; otherwise none is charged. Without any, writes are not limited.
    #[schemars(extend("examples" = [["100 per day", "20 per 5 minutes", "1000 per month calendar"]]))]
    pub(super) write_budget: Option<OneOrMany<TextOr<Budget>>>,
    /// How fast a key may call, reads included: at most 4 rolling quotas. Any interval of a quota's
    /// length holds at most its number of calls, counted as they arrive; capacity returns late by at most
    /// one twenty-ninth of that length. A restart forgets these counts; use a write budget for what must
    /// outlast it. Beyond a limit, calls are answered with 429 for a moment; a rate limit never locks.
    /// Without any, calls are not limited.
    #[schemars(extend("examples" = [["50 per second"]]))]
    pub(super) rate_limit: Option<OneOrMany<String>>,
    /// What happens to a key that tries to write beyond a budget. By default, its writes are locked until
    /// the owner unlocks it. `"never"` is the same as `never_lock = true`.
    pub(super) lock: Option<Spanned<TextOr<Lock>>>,
    /// Makes budgets refuse writes without locking the key; writes are accepted again once the window has
    /// room.
    #[schemars(extend("default" = false))]
    pub(super) never_lock: Option<Spanned<bool>>,
}

/// A write budget in its long form.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Budget {
    /// How many writes in which window. Required.
    #[schemars(required, extend("examples" = ["10 per day"]))]
    pub(super) quota: Option<Spanned<String>>,
    /// The operations that it counts, written as in `allow`. By default, all writes count.
    #[schemars(extend("examples" = ["bookmarks: DELETE *"]))]
    pub(super) on: Option<OneOrMany<String>>,
    /// Its name in the `RateLimit` fields of answers and in messages: letters, digits, `-` and `_`. By
    /// default it is made from the operations and the window, as in `bookmarks-delete-day`.
    #[schemars(extend("examples" = ["deletes"]))]
    pub(super) name: Option<Spanned<String>>,
    /// Whose writes count together: those of one `key`; those of all keys of one `application`, so that
    /// another key is no way around it; or those of everybody on the `plan`. Exceeding one of the latter two
    /// locks the application whose write did not fit, and with it all of its keys.
    #[schemars(extend("default" = "key", "examples" = ["application"]))]
    pub(super) per: Option<Spanned<Per>>,
}

/// Whose writes a budget counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Per {
    Key,
    Application,
    Plan,
}

/// How a key is locked.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Lock {
    /// What stops: `writes`, while reads keep flowing, or `all`.
    #[schemars(extend("default" = "writes"))]
    pub(super) level: Option<Spanned<Level>>,
    /// When the lock ends: `"unlocked"` is when the owner unlocks the key; after a duration, it unlocks
    /// by itself.
    #[schemars(extend("default" = "unlocked", "examples" = ["1 hour"]))]
    pub(super) until: Option<Spanned<String>>,
    /// With a duration: each further lock of the same key lasts this many times longer, from 1 to 100.
    #[schemars(extend("default" = 1, "examples" = [2]))]
    pub(super) growth: Option<Spanned<i64>>,
    /// With `growth`: no lock is longer than this. Without it, 400 days.
    #[schemars(extend("examples" = ["30 days"]))]
    pub(super) max: Option<Spanned<String>>,
}

/// What a lock stops.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// Writes.
    Writes,
    /// Every call.
    All,
}

//! A line for a shell that makes a call through the gate with a key, for an owner to paste.
//!
//! The call is chosen among those that the plan allows, and asked of the policy before it is shown, so a
//! line that is shown is one that passes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::Method;

use crate::policy::api::{Api, Charge};
use crate::policy::operation::OperationPattern;
use crate::policy::{Plan, Policy};
use crate::request::grammar::fold_path;

/// The methods of a rule that names none, the one to show first.
const USUAL: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// What the call is to show, where the plan allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That the key works.
    Read,
    /// What the journal records.
    Write,
}

/// By which host a path is an API's.
enum Host {
    /// Any, so the gate's own address does.
    Address,
    /// This one.
    Named(String),
}

/// A call that passes.
struct Call<'a> {
    api: &'a Api,
    host: Host,
    method: Method,
    path: String,
    /// The lowest is shown.
    rank: (bool, usize, bool),
}

/// A line that calls with a key of a plan; `None` where the plan allows nothing that has an example.
///
/// `gate` is an address, with `https://` before it where the gate speaks TLS. The key stands in the field
/// that the API reads it from: a query would end up in logs.
pub fn example_call(
    policy: &Policy,
    plan: &Plan,
    gate: &str,
    key: &str,
    wanted: Wanted,
) -> Option<String> {
    let (scheme, address) = match gate.strip_prefix("https://") {
        Some(address) => ("https", address),
        None => ("http", gate),
    };
    let address = reachable(address.parse().ok()?);
    let apis = 0..policy.apis().len();
    let calls = apis.flat_map(|place| calls(policy, plan, place, address, wanted));
    let call = calls.min_by_key(|call| call.rank)?;
    Some(line(&call, scheme, address, key))
}

/// Where a program on this machine reaches a server that listens on an address, perhaps on every one.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

/// The calls of one API that pass.
fn calls<'a>(
    policy: &'a Policy,
    plan: &'a Plan,
    place: usize,
    address: SocketAddr,
    wanted: Wanted,
) -> impl Iterator<Item = Call<'a>> {
    let api = &*policy.apis()[place];
    plan.spec().allow.iter().flat_map(move |allowed| {
        let pattern = &allowed.pattern;
        let methods = if pattern.methods().is_empty() { &USUAL[..] } else { pattern.methods() };
        methods.iter().filter_map(move |method| {
            paths(api, pattern).into_iter().find_map(|path| {
                let folded = fold_path(&path);
                let found = api.operation(method, &path, &folded);
                let host = host(policy, place, address, &path)?;
                let reads = found.charge == Charge::Nothing;
                let usual = USUAL.iter().position(|known| known == method);
                let rank = (
                    reads != (wanted == Wanted::Read),
                    usual.unwrap_or(USUAL.len()),
                    pattern.template().has_names(),
                );
                let is_allowed = plan.allows(place, &found.exact);
                is_allowed.then(|| Call { api, host, method: method.clone(), path, rank })
            })
        })
    })
}

/// Paths that may meet a pattern, the plainest first.
fn paths(api: &Api, pattern: &OperationPattern) -> [String; 3] {
    let template = pattern.template();
    [template.shortest_example(), format!("{}/", api.spec().path), template.example()]
}

/// The host by which a path is the API's, if one is: its first, where the gate's own address is none.
fn host(policy: &Policy, place: usize, address: SocketAddr, path: &str) -> Option<Host> {
    let is_its = |host: &str| {
        policy.api(host, path, &fold_path(path)).is_ok_and(|found| found.place == place)
    };
    if is_its(&address_host(address)) {
        return Some(Host::Address);
    }
    let mut named =
        policy.apis()[place].spec().hosts.iter().map(|host| match host.strip_prefix('*') {
            Some(domain) => format!("api{domain}"),
            None => host.clone(),
        });
    named.find(|host| is_its(host)).map(Host::Named)
}

/// An address as a request names it.
fn address_host(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn line(call: &Call<'_>, scheme: &str, address: SocketAddr, key: &str) -> String {
    let Call { api, host, method, path, .. } = call;
    let mut line = match *method {
        Method::GET => "curl -i".to_owned(),
        // A client that is told the method only waits for the body.
        Method::HEAD => "curl -I".to_owned(),
        // A rule's method is made of letters and hyphens.
        _ => format!("curl -i -X {method}"),
    };
    let mut origin = address.to_string();
    match host {
        // A certificate is for the name, so the name must be in the URL.
        Host::Named(host) if scheme == "https" => {
            origin = format!("{host}:{}", address.port());
            line +=
                &format!(" --resolve {}", quoted(&format!("{origin}:{}", address_host(address))));
        }
        Host::Named(host) => line += &format!(" -H {}", quoted(&format!("Host: {host}"))),
        Host::Address => {}
    }
    let field = quoted(&format!("{}: {key}", api.spec().credential.header_text));
    format!("{line} -H {field} {}", quoted(&format!("{scheme}://{origin}{path}")))
}

/// A text as a POSIX shell takes it for one word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::keys::lock::LockRule;
    use crate::policy::PlanSpec;
    use crate::policy::api::ApiSpec;
    use crate::policy::api::tests::spec;
    use crate::policy::operation::{OperationRule, Treatment};
    use crate::request::credential::CredentialRule;

    fn plan(allow: &[&str]) -> PlanSpec {
        PlanSpec {
            name: "open".to_owned(),
            is_keyless: false,
            allow: allow.iter().map(|rule| rule.parse().unwrap()).collect(),
            write_budgets: Vec::new(),
            rate_limits: Vec::new(),
            lock: LockRule::Never,
        }
    }

    fn api(name: &str, path: &str, hosts: &[&str]) -> ApiSpec {
        ApiSpec {
            path: path.to_owned(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..spec(name, Vec::new())
        }
    }

    fn shown(apis: Vec<ApiSpec>, allow: &[&str], gate: &str, wanted: Wanted) -> Option<String> {
        let policy = Policy::new(apis, vec![plan(allow)], jiff::tz::TimeZone::UTC);
        example_call(&policy, policy.plan("open").unwrap(), gate, "ks_1", wanted)
    }

    /// The line for a gate on one address, without what all of them have.
    fn read(apis: Vec<ApiSpec>, allow: &[&str]) -> String {
        let line = shown(apis, allow, "127.0.0.1:7070", Wanted::Read).unwrap_or_default();
        line.replace(" -H 'X-API-Key: ks_1'", "").replace("http://127.0.0.1:7070", "")
    }

    #[test]
    fn the_line_names_an_address_that_can_be_called() {
        for (gate, url) in [
            ("127.0.0.1:7070", "http://127.0.0.1:7070/"),
            ("0.0.0.0:7070", "http://127.0.0.1:7070/"),
            ("[::]:7070", "http://[::1]:7070/"),
            ("[2001:db8::1]:80", "http://[2001:db8::1]:80/"),
            ("https://0.0.0.0:7443", "https://127.0.0.1:7443/"),
        ] {
            let line = shown(vec![spec("b", Vec::new())], &["b: *"], gate, Wanted::Read);
            assert_eq!(line.unwrap(), format!("curl -i -H 'X-API-Key: ks_1' '{url}'"));
        }
        assert_eq!(shown(vec![spec("b", Vec::new())], &["b: *"], "'; rm", Wanted::Read), None);
    }

    #[test]
    fn the_line_asks_for_the_host_of_the_api() {
        for (hosts, gate, expected) in [
            (&["a.test"][..], "0.0.0.0:1", "-H 'Host: a.test' | 'http://127.0.0.1:1/'"),
            (&["*.a.test"], "[::]:1", "-H 'Host: api.a.test' | 'http://[::1]:1/'"),
            (&["127.0.0.1", "a.test"], "0.0.0.0:1", "| 'http://127.0.0.1:1/'"),
            (
                &["a.test"],
                "https://0.0.0.0:1",
                "--resolve 'a.test:1:127.0.0.1' | 'https://a.test:1/'",
            ),
            (&["a.test"], "https://[::]:1", "--resolve 'a.test:1:[::1]' | 'https://a.test:1/'"),
        ] {
            let line = shown(vec![api("b", "", hosts)], &["b: *"], gate, Wanted::Read).unwrap();
            let expected = expected.replace('|', "-H 'X-API-Key: ks_1'");
            assert_eq!(line, format!("curl -i {expected}"));
        }
    }

    #[test]
    fn the_line_makes_a_call_that_the_plan_allows() {
        for (path, allow, expected) in [
            ("", &["b: *"][..], "curl -i '/'"),
            ("/v2", &["b: *"], "curl -i '/v2/'"),
            ("/v2", &["b: GET /v2/a/{id}", "b: GET /v2/a"], "curl -i '/v2/a'"),
            ("/v2", &["b: DELETE *", "b: GET /v2/a/{id}"], "curl -i '/v2/a/x'"),
            ("/v2", &["b: GET /*"], "curl -i '/v2/'"),
            ("/v2", &["b: GET /a", "*: GET /v2/files/*"], "curl -i '/v2/files/'"),
            ("", &["b: DELETE /a", "b: PUT,POST /a"], "curl -i -X POST '/a'"),
            ("", &["b: HEAD /a"], "curl -I '/a'"),
            ("", &["b: GET /caf\u{e9}/it's"], r"curl -i '/caf%C3%A9/it'\''s'"),
            ("", &["other: *"], ""),
            ("/v2", &["b: GET /a"], ""),
        ] {
            assert_eq!(read(vec![api("b", path, &[])], allow), expected, "{path} {allow:?}");
        }
    }

    #[test]
    fn the_line_reads_where_it_may_and_writes_where_that_is_wanted() {
        let mut api = spec("b", Vec::new());
        let tick = OperationRule::new("GET /tick".parse().unwrap());
        api.operations = vec![OperationRule { treat_as: Some(Treatment::Write), ..tick }];
        let allow = ["b: GET /tick", "b: GET /{name}/all"];
        assert_eq!(read(vec![api.clone()], &allow), "curl -i '/x/all'");
        let line =
            |allow| shown(vec![api.clone()], allow, "127.0.0.1:7070", Wanted::Write).unwrap();
        assert!(line(&["b: *"]).starts_with("curl -i -X POST "));
        assert!(line(&["b: GET *", "b: DELETE /a"]).starts_with("curl -i -X DELETE "));
        assert!(line(&["b: GET /a"]).starts_with("curl -i -H "));
    }

    #[test]
    fn the_line_reaches_the_api_that_the_plan_speaks_of() {
        let apis =
            || vec![api("named", "", &["a.test"]), api("below", "/v2", &[]), api("any", "", &[])];
        assert_eq!(read(apis(), &["named: *"]), "curl -i -H 'Host: a.test' '/'");
        assert_eq!(read(apis(), &["below: *"]), "curl -i '/v2/'");
        assert_eq!(read(apis(), &["any: *"]), "curl -i '/'");
    }

    #[test]
    fn the_key_stands_where_the_api_reads_it() {
        let mut api = spec("b", Vec::new());
        let credential = CredentialRule::default();
        api.credential = CredentialRule {
            query_parameter: Some("key".into()),
            ..credential.in_header(HeaderName::from_static("x'key"), "X'Key")
        };
        let line = shown(vec![api], &["b: *"], "127.0.0.1:1", Wanted::Read).unwrap();
        assert_eq!(line, r"curl -i -H 'X'\''Key: ks_1' 'http://127.0.0.1:1/'");
    }
}

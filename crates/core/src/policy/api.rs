//! An API as the policy knows it: where it is reached, and what each of its operations means.

use http::Method;

use crate::cost::BodyCharge;
use crate::policy::operation::{
    BodyKind, CountRule, OperationPattern, OperationRule, Treatment, is_safe,
};
use crate::policy::template::{IndexSet, TemplateIndex};
use crate::request::credential::CredentialRule;
use crate::request::grammar::fold_path;
use crate::time::Span;

/// How strictly an API is guarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Requests pass as they are: no key, no journal. For comparison and for emergencies.
    Off,
    /// Everything is journaled and counted, nothing is refused that can be forwarded faithfully.
    Observe,
    /// The policy holds.
    #[default]
    Enforce,
}

/// Where an API's requests go, and how long they may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRule {
    /// Origins such as `http://127.0.0.1:7071`, tried in turn; never empty.
    pub origins: Vec<http::Uri>,
    /// HTTP/2 without TLS, by prior knowledge; over TLS it is negotiated.
    pub http2_prior_knowledge: bool,
    /// A file with certificates to trust for https origins, besides the system's.
    pub trusted_certificates: Option<std::path::PathBuf>,
    /// From the first attempt to connect until the connection can be used.
    pub connect_timeout: Span,
    /// From the end of the request until the answer's head.
    pub first_byte_timeout: Span,
    /// From the start of a request until the end of its answer; unbounded where `None`.
    pub total_timeout: Option<Span>,
    /// Whether the Host field of the request is kept; it becomes the upstream's own otherwise.
    pub keep_host: bool,
    /// Whether the key is forwarded rather than stripped.
    pub forward_credential: bool,
}

/// Everything that the configuration says of one API.
#[derive(Clone, Debug)]
pub struct ApiSpec {
    /// Its name, as rules write it.
    pub name: String,
    /// Lower-case host names, `*.example.org` for all below one; every host where empty.
    pub hosts: Vec<String>,
    /// The path prefix that belongs to it, as it is written, without a trailing slash; empty for every
    /// path.
    pub path: String,
    /// How strictly it is guarded.
    pub mode: Mode,
    /// Whether `;` may stand in a path.
    pub matrix_parameters: bool,
    /// Where a request carries its key.
    pub credential: CredentialRule,
    /// The largest body; unbounded where `None`.
    pub body_bytes_max: Option<u64>,
    /// The largest body that is held in memory to be counted.
    pub count_bytes_max: usize,
    /// Where its requests go.
    pub upstream: UpstreamRule,
    /// What is said of single operations.
    pub operations: Vec<OperationRule>,
}

/// One API, ready to be asked about requests.
#[derive(Clone, Debug)]
pub struct Api {
    spec: ApiSpec,
    folded_prefix: String,
    /// Every pattern that the policy uses in this API, each once.
    patterns: Vec<OperationPattern>,
    /// For each operation rule the place of its pattern.
    rule_places: Vec<usize>,
    exact: TemplateIndex,
    folded: TemplateIndex,
}

/// What the policy says of one request's operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationMatch {
    /// The patterns that the path meets as it is written: what may be allowed.
    pub(crate) exact: IndexSet,
    /// The patterns that it meets in either form: what may be held against it.
    pub(crate) either: IndexSet,
    best: Option<usize>,
    /// Whether the call reads or writes, and at what cost.
    pub charge: Charge,
    /// Whether it may become a WebSocket.
    pub websocket: bool,
    /// Which of its writes stay counted.
    pub count: CountRule,
}

impl OperationMatch {
    /// What is said of a request of an API that is not guarded: nothing.
    pub fn unguarded() -> Self {
        Self {
            exact: IndexSet::default(),
            either: IndexSet::default(),
            best: None,
            charge: Charge::Nothing,
            websocket: true,
            count: CountRule::default(),
        }
    }
}

/// What one call takes from each of its write budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Nothing: the call reads.
    Nothing,
    /// This much: the call writes.
    Writes(u32),
    /// What its body says.
    ByBody(BodyCharge),
}

impl Api {
    /// Prepares an API; `others` are the patterns that plans use in it.
    pub(crate) fn new(spec: ApiSpec, others: impl Iterator<Item = OperationPattern>) -> Self {
        let mut patterns: Vec<OperationPattern> = Vec::new();
        for pattern in spec.operations.iter().map(|rule| rule.pattern.clone()).chain(others) {
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        let place_of =
            |rule: &OperationRule| patterns.iter().position(|known| *known == rule.pattern);
        let rule_places: Vec<_> = spec.operations.iter().filter_map(place_of).collect();
        let mut folded = TemplateIndex::folded(patterns.iter().map(OperationPattern::template));
        for (rule, place) in spec.operations.iter().zip(&rule_places) {
            if rule.body.as_ref().is_some_and(|body| body.kind.is_one_handler()) {
                folded.extend_below(*place, rule.pattern.template());
            }
        }
        Self {
            folded_prefix: fold_path(&spec.path).into_owned(),
            rule_places,
            exact: TemplateIndex::exact(patterns.iter().map(OperationPattern::template)),
            folded,
            spec,
            patterns,
        }
    }

    /// The same API, only observed where it was guarded.
    pub(crate) fn observed(&self) -> Self {
        let mut observed = self.clone();
        if observed.spec.mode == Mode::Enforce {
            observed.spec.mode = Mode::Observe;
        }
        observed
    }

    /// What the configuration says of it.
    pub fn spec(&self) -> &ApiSpec {
        &self.spec
    }

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Every pattern that the policy uses in it, each once.
    pub fn patterns(&self) -> &[OperationPattern] {
        &self.patterns
    }

    /// The place of a pattern that was given to `new`.
    pub(crate) fn index_of(&self, pattern: &OperationPattern) -> Option<usize> {
        self.patterns.iter().position(|known| known == pattern)
    }

    /// Whether it answers at a host, which has no spelling but one.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        self.spec.hosts.is_empty()
            || self.spec.hosts.iter().any(|pattern| match pattern.strip_prefix('*') {
                Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
                None => host == pattern,
            })
    }

    /// Whether a path belongs to it as it is written.
    pub(crate) fn has_path(&self, path: &str) -> bool {
        is_below(path, &self.spec.path)
    }

    /// Whether a path belongs to it where case, escapes and a trailing slash make no difference.
    pub(crate) fn has_folded_path(&self, folded_path: &str) -> bool {
        is_below(folded_path, &self.folded_prefix)
    }

    /// What the policy says of a request. Of several rules the strictest holds: write over read,
    /// the higher cost, the longer count.
    pub fn operation(&self, method: &Method, path: &str, folded_path: &str) -> OperationMatch {
        let exact = self.with_method(self.exact.matches(path), method);
        let mut either = self.with_method(self.folded.matches(folded_path), method);
        either.union_with(&exact);
        let best = exact.iter().max_by_key(|index| self.patterns[*index].rank());
        let mut found = OperationMatch {
            exact,
            either,
            best,
            charge: Charge::Nothing,
            websocket: false,
            count: CountRule::default(),
        };
        self.apply_rules(method, &mut found);
        found
    }

    fn with_method(&self, mut set: IndexSet, method: &Method) -> IndexSet {
        let mut fitting = IndexSet::default();
        for index in set.iter() {
            if self.patterns[index].has_method(method) {
                fitting.insert(index);
            }
        }
        set.intersect_with(&fitting);
        set
    }

    /// What makes a call cheaper or freer holds for the exact path only: another spelling may be another
    /// resource.
    fn apply_rules(&self, method: &Method, found: &mut OperationMatch) {
        let (mut reads, mut writes) = (is_safe(method), false);
        let (mut cost, mut bodies, mut count) = (1, Vec::new(), None::<CountRule>);
        for (rule, place) in self.spec.operations.iter().zip(&self.rule_places) {
            if !found.either.contains(*place) {
                continue;
            }
            let is_exact = found.exact.contains(*place);
            match rule.treat_as {
                Some(Treatment::Write) => writes = true,
                Some(Treatment::Read) if is_exact => reads = true,
                Some(Treatment::Read) | None => {}
            }
            if let Some(body) = &rule.body {
                reads |= is_exact && body.kind == BodyKind::GraphQl;
                if !bodies.contains(body) {
                    bodies.push(body.clone());
                }
            }
            cost = cost.max(rule.cost.unwrap_or(1));
            if is_exact || rule.count == Some(CountRule::Sent) {
                count = count.max(rule.count);
            }
            found.websocket |= rule.websocket && is_exact;
        }
        found.count = count.unwrap_or_default();
        let reads = reads && !writes;
        found.charge = match bodies.is_empty() {
            true if reads => Charge::Nothing,
            true => Charge::Writes(cost),
            false => Charge::ByBody(BodyCharge {
                rules: bodies,
                cost_min: cost,
                cost_of_none: if reads { 0 } else { cost },
            }),
        };
    }

    /// The name of a matched operation in the journal, as in `DELETE /bookmarks/{id}`.
    pub fn label(&self, method: &Method, found: &OperationMatch) -> String {
        match found.best {
            Some(index) => self.patterns[index].label(method),
            None => format!("{method} *"),
        }
    }
}

/// Whether a path is a prefix, or below it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cost::{CountedCall, cost_of};
    use crate::policy::operation::BodyRule;
    use crate::request::head::{Fields, fields_of};

    /// An API as a test needs it.
    pub(crate) fn spec(name: &str, operations: Vec<OperationRule>) -> ApiSpec {
        ApiSpec {
            name: name.to_owned(),
            hosts: Vec::new(),
            path: String::new(),
            mode: Mode::Enforce,
            matrix_parameters: false,
            credential: CredentialRule::default(),
            body_bytes_max: None,
            count_bytes_max: 1 << 20,
            upstream: UpstreamRule {
                origins: vec![http::Uri::from_static("http://127.0.0.1:1")],
                http2_prior_knowledge: false,
                trusted_certificates: None,
                connect_timeout: Span::from_secs(5),
                first_byte_timeout: Span::from_secs(60),
                total_timeout: None,
                keep_host: true,
                forward_credential: false,
            },
            operations,
        }
    }

    fn rule(pattern: &str, change: impl FnOnce(&mut OperationRule)) -> OperationRule {
        let mut rule = OperationRule::new(pattern.parse().unwrap());
        change(&mut rule);
        rule
    }

    fn api(operations: Vec<OperationRule>) -> Api {
        Api::new(spec("bookmarks", operations), std::iter::empty())
    }

    fn charge(api: &Api, method: &Method, path: &str) -> Charge {
        let folded = path.to_ascii_lowercase();
        api.operation(method, path, folded.strip_suffix('/').unwrap_or(&folded)).charge
    }

    #[test]
    fn an_unmatched_write_is_never_free() {
        let api = api(vec![rule("POST /search", |rule| rule.treat_as = Some(Treatment::Read))]);
        assert_eq!(charge(&api, &Method::POST, "/anything"), Charge::Writes(1));
        assert_eq!(charge(&api, &Method::GET, "/anything"), Charge::Nothing);
        assert_eq!(charge(&api, &Method::POST, "/search"), Charge::Nothing);
        assert_eq!(charge(&api, &"PURGE".parse().unwrap(), "/anything"), Charge::Writes(1));
    }

    #[test]
    fn the_strictest_of_several_rules_holds() {
        let api = api(vec![
            rule("POST *", |rule| rule.cost = Some(2)),
            rule("POST /import", |rule| rule.cost = Some(5)),
            rule("GET /tick", |rule| rule.treat_as = Some(Treatment::Write)),
            rule("GET /{any}", |rule| rule.treat_as = Some(Treatment::Read)),
        ]);
        assert_eq!(charge(&api, &Method::POST, "/import"), Charge::Writes(5));
        assert_eq!(charge(&api, &Method::POST, "/x"), Charge::Writes(2));
        assert_eq!(charge(&api, &Method::GET, "/tick"), Charge::Writes(1));
    }

    #[test]
    fn a_folded_path_meets_stricter_rules_but_no_looser_one() {
        let api = api(vec![
            rule("DELETE /admin", |rule| rule.cost = Some(7)),
            rule("POST /search", |rule| rule.treat_as = Some(Treatment::Read)),
        ]);
        assert_eq!(charge(&api, &Method::DELETE, "/ADMIN/"), Charge::Writes(7));
        assert_eq!(charge(&api, &Method::POST, "/Search"), Charge::Writes(1));
    }

    fn counted(kind: BodyKind, cost_max: Option<u32>) -> BodyRule {
        BodyRule { kind, cost_max }
    }

    /// What a GraphQL query costs that changes nothing, and a mutation of one field.
    fn graphql(api: &Api, method: &Method, path: &str) -> [Option<u32>; 2] {
        let Charge::ByBody(charge) = charge(api, method, path) else { return [None; 2] };
        let content_type = http::HeaderValue::from_static("application/graphql");
        let headers = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, content_type)]);
        [&b"{ a }"[..], b"mutation { a }"].map(|body| {
            cost_of(
                &charge,
                &CountedCall {
                    method: &Method::POST,
                    fields: Fields(&fields_of(&headers)),
                    query: "",
                    body,
                },
            )
            .ok()
        })
    }

    #[test]
    fn a_query_is_a_read_on_the_exact_path_only() {
        let api = api(vec![rule("POST,GET /graphql", |rule| {
            rule.body = Some(counted(BodyKind::GraphQl, None));
            rule.cost = Some(3);
        })]);
        assert_eq!(graphql(&api, &Method::POST, "/graphql"), [Some(0), Some(3)]);
        for path in ["/GRAPHQL", "/graphql/", "/Graphql/"] {
            assert_eq!(graphql(&api, &Method::POST, path), [Some(3), Some(3)], "{path}");
        }
        assert_eq!(graphql(&api, &Method::GET, "/GRAPHQL"), [Some(0), Some(3)], "GET reads anyway");
    }

    /// Servers mount such a handler for a whole subtree: Express with `app.use("/graphql", ..)`.
    #[test]
    fn what_lies_below_a_counted_handler_is_counted_like_it_and_never_cheaper() {
        let api = api(vec![
            rule("POST,GET /graphql", |rule| rule.body = Some(counted(BodyKind::GraphQl, None))),
            rule("POST /rpc", |rule| rule.body = Some(counted(BodyKind::JsonRpc, None))),
            rule("POST /import", |rule| {
                rule.body = Some(counted(BodyKind::Items { at: None }, None));
            }),
        ]);
        for path in ["/graphql/x", "/graphql/a/b", "/GraphQL/%20", "/graphql//"] {
            assert_eq!(graphql(&api, &Method::POST, path), [Some(1), Some(1)], "{path}");
            assert_eq!(graphql(&api, &Method::GET, path), [Some(0), Some(1)], "{path}");
        }
        let found = api.operation(&Method::POST, "/graphql/x", "/graphql/x");
        assert!(found.exact.iter().next().is_none(), "it allows nothing");
        assert!(matches!(charge(&api, &Method::POST, "/rpc/x"), Charge::ByBody(_)));
        assert_eq!(charge(&api, &Method::POST, "/import/7/image"), Charge::Writes(1));
        assert_eq!(charge(&api, &Method::POST, "/graphqlx"), Charge::Writes(1));
    }

    #[test]
    fn a_broad_write_rule_beside_a_counted_one_holds() {
        let graphql_rule =
            || rule("POST /graphql", |rule| rule.body = Some(counted(BodyKind::GraphQl, None)));
        let write = || {
            rule("POST *", |rule| {
                rule.treat_as = Some(Treatment::Write);
                rule.cost = Some(2);
            })
        };
        for operations in [vec![write(), graphql_rule()], vec![graphql_rule(), write()]] {
            assert_eq!(graphql(&api(operations), &Method::POST, "/graphql"), [Some(2), Some(2)]);
        }
        let folded_write = rule("POST /GraphQL", |rule| rule.treat_as = Some(Treatment::Write));
        let api = api(vec![graphql_rule(), folded_write]);
        assert_eq!(graphql(&api, &Method::POST, "/graphql"), [Some(1), Some(1)]);
    }

    #[test]
    fn of_several_counted_rules_all_are_asked() {
        let items = BodyKind::Items { at: None };
        let api = api(vec![
            rule("POST /*", |rule| rule.body = Some(counted(items.clone(), Some(7)))),
            rule("POST /GRAPHQL", |rule| rule.body = Some(counted(BodyKind::GraphQl, None))),
            rule("POST /{any}", |rule| rule.body = Some(counted(BodyKind::GraphQl, None))),
        ]);
        let Charge::ByBody(charge) = charge(&api, &Method::POST, "/graphql") else { panic!() };
        assert_eq!(charge.rules.len(), 2, "each once");
        assert_eq!(graphql(&api, &Method::POST, "/graphql"), [Some(7), Some(7)]);
    }

    #[test]
    fn giving_refused_writes_back_holds_for_the_exact_path_only() {
        let api = api(vec![rule("POST /a", |rule| rule.count = Some(CountRule::Applied))]);
        let count = |path| api.operation(&Method::POST, path, "/a").count;
        assert_eq!((count("/a"), count("/A")), (CountRule::Applied, CountRule::Sent));
    }

    #[test]
    fn the_journal_names_the_closest_pattern() {
        let api = Api::new(
            spec("bookmarks", Vec::new()),
            ["*", "DELETE /bookmarks/{id}", "/x"].iter().filter_map(|text| text.parse().ok()),
        );
        let label = |path| api.label(&Method::DELETE, &api.operation(&Method::DELETE, path, path));
        assert_eq!(label("/bookmarks/7"), "DELETE /bookmarks/{id}");
        assert_eq!(label("/other"), "DELETE *");
    }
}

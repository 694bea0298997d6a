//! An API as the policy knows it: where it is reached, and what each of its operations means.

use http::Method;

use crate::credential::CredentialRule;
use crate::operation::{BodyRule, CountRule, OperationPattern, OperationRule, Treatment, is_safe};
use crate::template::{IndexSet, TemplateIndex};
use crate::time::Span;

/// How strictly an API is guarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Requests pass as they are: no key, no journal. For comparison and for emergencies.
    Off,
    /// Everything is journalled and counted, nothing is refused that can be forwarded faithfully.
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
    /// The path prefix that belongs to it, without a trailing slash; empty for every path.
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

/// What one call takes from each of its write budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Nothing: the call reads.
    Nothing,
    /// This much: the call writes.
    Writes(u32),
    /// What its body says, and at least `cost_min` if it writes at all.
    ByBody {
        /// How to count.
        rule: BodyRule,
        /// The least that a write of this operation costs.
        cost_min: u32,
    },
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
        Self {
            rule_places: spec.operations.iter().filter_map(place_of).collect(),
            exact: TemplateIndex::exact(patterns.iter().map(OperationPattern::template)),
            folded: TemplateIndex::folded(patterns.iter().map(OperationPattern::template)),
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

    /// Its name.
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

    /// Whether a host and folded path belong to it.
    pub(crate) fn has(&self, host: &str, folded_path: &str) -> bool {
        let host_fits = self.spec.hosts.is_empty()
            || self.spec.hosts.iter().any(|pattern| match pattern.strip_prefix('*') {
                Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
                None => host == pattern,
            });
        host_fits
            && folded_path
                .strip_prefix(self.spec.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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

    fn apply_rules(&self, method: &Method, found: &mut OperationMatch) {
        let (mut reads, mut writes) = (is_safe(method), false);
        let (mut cost, mut body, mut count) = (1, None, None::<CountRule>);
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
            cost = cost.max(rule.cost.unwrap_or(1));
            body = body.or_else(|| rule.body.clone());
            count = count.max(rule.count);
            found.websocket |= rule.websocket && is_exact;
        }
        found.count = count.unwrap_or_default();
        found.charge = match body {
            Some(rule) => Charge::ByBody { rule, cost_min: cost },
            None if reads && !writes => Charge::Nothing,
            None => Charge::Writes(cost),
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

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

//! Reading a request's head: grammar, API, credential, operation, decision. No waiting in here.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, Response};
use keystile_core::decision::Permit;
use keystile_core::journal::RequestFacts;
use keystile_core::policy::api::{Api, Charge, Mode, OperationMatch};
use keystile_core::policy::{ApiRef, Policy};
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::address::forwarded_for;
use keystile_core::request::credential::{self, CredentialPlace, Presented};
use keystile_core::request::grammar::{self, Canonical, Head};
use keystile_engine::Identity;
use keystile_engine::Incoming;

use crate::answer;
use crate::serve::{Peer, Worker};
use crate::upstream::outgoing;

/// The longest path and user agent that a record keeps of a refused request.
const PATH_BYTES_MAX: usize = 1024;
const USER_AGENT_BYTES_MAX: usize = 256;

/// What is to be done with a request.
pub(crate) enum Verdict {
    /// One of Keystile's own pages.
    Page(Response<Bytes>),
    /// It may not pass.
    Refused(Box<RefusedHead>),
    /// It is to be forwarded, once its body is counted and its write reserved.
    Forward(Box<AdmittedRequest>),
}

/// A request that may not pass.
pub(crate) struct RefusedHead {
    pub(crate) refusal: Refusal,
    pub(crate) identity: Identity,
    pub(crate) facts: RequestFacts,
    pub(crate) base: String,
    pub(crate) is_last: bool,
}

/// A request that may pass, with all that forwarding it needs.
pub(crate) struct AdmittedRequest {
    pub(crate) api: Arc<Api>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) identity: Identity,
    /// `None` where the API is not guarded.
    pub(crate) permit: Option<Permit>,
    /// For the record of a write; reads have none.
    pub(crate) facts: Option<RequestFacts>,
    /// Where it differs from the request's own.
    pub(crate) target: Option<PathAndQuery>,
    pub(crate) place: Option<CredentialPlace>,
    pub(crate) address: IpAddr,
    pub(crate) host: HeaderValue,
    /// That of the caller's request.
    pub(crate) scheme: &'static str,
    pub(crate) base: String,
    pub(crate) is_upgrade: bool,
    /// Whether it writes, or its body may say so.
    pub(crate) writes: bool,
}

/// Reads a head and decides on it.
pub(crate) fn read(core: &Worker, peer: &Peer, parts: &Parts, fault: Option<Refusal>) -> Verdict {
    let address = forwarded_for(&parts.headers, peer.address, &core.settings.trusted_proxies);
    let head = Head {
        method: &parts.method,
        uri: &parts.uri,
        version: parts.version,
        headers: &parts.headers,
    };
    let unread = |refusal: Refusal, base: String| {
        let facts = facts(parts, address, "", String::new(), cut(parts.uri.path(), PATH_BYTES_MAX));
        Verdict::Refused(Box::new(RefusedHead {
            refusal,
            identity: Identity::Keyless,
            facts,
            base,
            is_last: true,
        }))
    };
    if let Some(fault) = fault {
        return unread(fault, base_of(core, peer, parts, host_field(parts)));
    }
    let canonical = match grammar::canonical(&head, &core.grammar) {
        Ok(canonical) => canonical,
        Err(refusal) => return unread(refusal, base_of(core, peer, parts, host_field(parts))),
    };
    if canonical.path.starts_with(answer::PROBLEM_PAGES)
        && matches!(parts.method, Method::GET | Method::HEAD)
        && let Some(page) = answer::page(&canonical.path)
    {
        return Verdict::Page(page);
    }
    let policy = core.engine.policy();
    let api = match policy.api(&canonical.host, &canonical.path, &canonical.folded) {
        Ok(api) => api,
        Err(refusal) => {
            return unread(refusal, base_of(core, peer, parts, Some(canonical.authority)));
        }
    };
    let reading =
        Reading { core, peer, parts, address, canonical: &canonical, policy: &policy, api };
    match reading.decide() {
        Ok(job) => Verdict::Forward(job),
        Err(refused) => Verdict::Refused(refused),
    }
}

struct Reading<'a> {
    core: &'a Worker,
    peer: &'a Peer,
    parts: &'a Parts,
    address: IpAddr,
    canonical: &'a Canonical<'a>,
    policy: &'a Arc<Policy>,
    api: ApiRef<'a>,
}

impl Reading<'_> {
    fn decide(&self) -> Result<Box<AdmittedRequest>, Box<RefusedHead>> {
        let spec = self.api.api.spec();
        if spec.mode == Mode::Off {
            return Ok(self.job(Identity::Keyless, None, None, None));
        }
        let headers = &self.parts.headers;
        let presented = credential::find(headers, self.canonical.query, &spec.credential);
        let method = &self.parts.method;
        let operation =
            self.api.api.operation(method, &self.canonical.path, &self.canonical.folded);
        let label = || self.api.api.label(method, &operation);
        let authorization = self.core.engine.authorize(&Incoming {
            policy: self.policy,
            api: self.api,
            operation: &operation,
            presented: &presented,
            objection: self.objection(&operation).as_ref(),
            address: self.address,
        });
        let identity = authorization.identity;
        // What is no key of ours is the API's, and goes on to it, whatever it was meant for.
        let place = match (&identity, presented) {
            (Identity::Key(_), Presented::Key(key) | Presented::Other(key)) => Some(key.place),
            _ => None,
        };
        match authorization.verdict {
            Err(refusal) => Err(self.refused(refusal, identity, label())),
            Ok(permit) => {
                let facts = match permit.charge() {
                    Charge::Nothing => {
                        if let Some(objection) = permit.objection() {
                            let facts = self.facts(label());
                            self.core.engine.note_objection(&identity, objection.reason, facts);
                        }
                        None
                    }
                    Charge::Writes(_) | Charge::ByBody(_) => Some(self.facts(label())),
                };
                Ok(self.job(identity, Some(permit), facts, place))
            }
        }
    }

    /// What speaks against a request that could be forwarded.
    fn objection(&self, operation: &OperationMatch) -> Option<Refusal> {
        let spec = self.api.api.spec();
        let is_above = |max| content_length(self.parts).is_some_and(|length| length > max);
        if self.canonical.has_matrix_parameter && !spec.matrix_parameters {
            let detail = "The path holds `;`, which this API does not accept in paths.";
            Some(Refusal::new(Reason::PathInvalid).because(detail))
        } else if spec.body_bytes_max.is_some_and(is_above) {
            Some(Reason::BodyTooLarge.into())
        } else if self.canonical.upgrade && !operation.websocket {
            Some(Reason::UpgradeRefused.into())
        } else {
            None
        }
    }

    fn facts(&self, operation: String) -> RequestFacts {
        facts(
            self.parts,
            self.address,
            self.api.api.name(),
            operation,
            self.canonical.path.to_string(),
        )
    }

    fn base(&self) -> String {
        base_of(self.core, self.peer, self.parts, Some(self.canonical.authority))
    }

    fn refused(&self, refusal: Refusal, identity: Identity, operation: String) -> Box<RefusedHead> {
        let mut facts = self.facts(operation);
        facts.path = cut(&facts.path, PATH_BYTES_MAX);
        Box::new(RefusedHead { refusal, identity, facts, base: self.base(), is_last: false })
    }

    fn job(
        &self,
        identity: Identity,
        permit: Option<Permit>,
        facts: Option<RequestFacts>,
        place: Option<CredentialPlace>,
    ) -> Box<AdmittedRequest> {
        let spec = self.api.api.spec();
        let writes = facts.is_some();
        let forwarded_place = place.filter(|_| !spec.upstream.forward_credential);
        let host = match self.parts.headers.get(HOST) {
            Some(host) => host.clone(),
            None => HeaderValue::from_str(self.canonical.authority)
                .expect("the grammar accepts only visible hosts"),
        };
        Box::new(AdmittedRequest {
            api: self.api.api.clone(),
            policy: self.policy.clone(),
            identity,
            permit,
            target: outgoing::target(
                &self.parts.uri,
                &self.canonical.path,
                forwarded_place,
                &spec.credential,
            ),
            base: if facts.is_some() { self.base() } else { String::new() },
            facts,
            place: forwarded_place,
            address: self.address,
            host,
            scheme: self.peer.scheme(&self.parts.headers, &self.core.settings.trusted_proxies),
            is_upgrade: self.canonical.upgrade,
            writes,
        })
    }
}

/// Scheme and authority that the request was sent to.
fn base_of(core: &Worker, peer: &Peer, parts: &Parts, authority: Option<&str>) -> String {
    authority.map_or_else(String::new, |authority| {
        let scheme = peer.scheme(&parts.headers, &core.settings.trusted_proxies);
        format!("{scheme}://{authority}")
    })
}

/// The host as the request names it, where that can stand in a link.
fn host_field(parts: &Parts) -> Option<&str> {
    let text = match parts.headers.get(HOST) {
        Some(host) => host.to_str().ok()?,
        None => parts.uri.authority()?.as_str(),
    };
    text.parse::<Authority>()
        .is_ok_and(|authority| authority.as_str() == text && !text.contains('@'))
        .then_some(text)
}

fn content_length(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn facts(
    parts: &Parts,
    address: IpAddr,
    api: &str,
    operation: String,
    path: String,
) -> RequestFacts {
    let user_agent = parts.headers.get(USER_AGENT).map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        cut(&text, USER_AGENT_BYTES_MAX)
    });
    RequestFacts {
        api: api.to_owned(),
        operation,
        method: cut(parts.method.as_str(), 32),
        path,
        address,
        user_agent,
        request_bytes: content_length(parts),
    }
}

fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

//! Admitting a request: the one path from its head to a permit or a refusal, for every door.
//!
//! ```text
//! head ── grammar ── API ── credential ── operation ── decision ──┬── a page of Keystile's own
//!                                                                 ├── refused: problem, journal line
//!                                                                 ├── unknown: look the key up, then ask again
//!                                                                 ├── read:    may be sent
//!                                                                 ├── write:   reserve, then send
//!                                                                 └── counted: count its body, then one of the two
//! ```
//!
//! Nothing waits in here, and the store is not asked: a read ends with this.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::Authority;
use keystile_core::cost::head::CountedHead;
use keystile_core::decision::Permit;
use keystile_core::journal::RequestFacts;
use keystile_core::policy::api::{Api, Mode, OperationMatch};
use keystile_core::policy::{ApiRef, Policy};
use keystile_core::problem::{PROBLEM_PAGES, Page, page};
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::credential::{self, CredentialPlace, Presented};
use keystile_core::request::grammar::{self, Canonical};
use keystile_core::request::head::{RequestHead, text_of};

use crate::admission::caller::Caller;
use crate::admission::decide::{Decided, Incoming};
use crate::admission::identity::Identity;
use crate::admission::permit::{
    AdmittedRequest, Attempt, BodyPermit, ForwardedTarget, ReadPermit, WritePermit,
};
use crate::admission::refused::{NextRequest, Refused};
use crate::admission::unknown_key::{LookedUp, UnknownKey};
use crate::engine::Engine;

/// The longest path, user agent and method that a record keeps of a refused request.
const PATH_BYTES_MAX: usize = 1024;
const USER_AGENT_BYTES_MAX: usize = 256;
const METHOD_BYTES_MAX: usize = 32;

/// What is to be done with a request.
#[derive(Debug)]
#[must_use = "a request has to be answered"]
pub enum Admission {
    /// It asks for one of Keystile's own pages.
    Page(Page),
    /// It may not pass. It is on record.
    Refused(Refused),
    /// Its key is not known here, and a key source may know it: the door has it looked up, and asks once more. A
    /// door that cannot wait refuses the request as one with an unknown key.
    UnknownKey(UnknownKey),
    /// It may be sent.
    Read(ReadPermit),
    /// It may be sent once its write is reserved.
    Write(WritePermit),
    /// Only its body tells whether it reads or writes.
    Counted(BodyPermit),
}

impl Engine {
    /// Decides on a request, from memory. What is refused is put on record.
    pub fn admit(&self, head: &RequestHead<'_>, caller: &Caller<'_>) -> Admission {
        self.admit_as(head, caller, None)
    }

    /// Decides on a request whose key was looked up, once and for all.
    pub fn admit_looked_up(
        &self,
        head: &RequestHead<'_>,
        caller: &Caller<'_>,
        looked_up: LookedUp,
    ) -> Admission {
        self.admit_as(head, caller, Some(looked_up))
    }

    fn admit_as(
        &self,
        head: &RequestHead<'_>,
        caller: &Caller<'_>,
        looked_up: Option<LookedUp>,
    ) -> Admission {
        let canonical = match grammar::canonical(head, &caller.rules.grammar) {
            Ok(canonical) => canonical,
            Err(refusal) => return Admission::Refused(self.refuse_head(head, caller, refusal)),
        };
        if canonical.path.starts_with(PROBLEM_PAGES)
            && matches!(head.method, "GET" | "HEAD")
            && let Some(page) = page(&canonical.path)
        {
            return Admission::Page(page);
        }
        let policy = self.policy();
        let api = match policy.api(&canonical.host, &canonical.path, &canonical.folded) {
            Ok(api) => api,
            Err(refusal) => {
                let authority = Some(canonical.authority);
                return Admission::Refused(self.refuse_unread(head, caller, authority, refusal));
            }
        };
        let address = caller.address(head.fields);
        let reading = Reading { engine: self, head, caller, address, canonical: &canonical, api };
        reading.admit(&policy, looked_up)
    }

    /// Refuses a head that has no one reading, as a door's parser found, or repaired without asking.
    pub fn refuse_head(
        &self,
        head: &RequestHead<'_>,
        caller: &Caller<'_>,
        refusal: Refusal,
    ) -> Refused {
        self.refuse_unread(head, caller, host_field(head), refusal)
    }

    /// Puts on record that a door's parser could not read a head at all.
    pub fn note_unreadable(&self, address: IpAddr, reason: Reason) {
        let facts = RequestFacts {
            api: String::new(),
            operation: String::new(),
            method: String::new(),
            path: String::new(),
            address,
            user_agent: None,
            request_bytes: None,
        };
        self.note_refused(&Identity::Keyless, reason, facts);
    }

    fn refuse_unread(
        &self,
        head: &RequestHead<'_>,
        caller: &Caller<'_>,
        authority: Option<&str>,
        refusal: Refusal,
    ) -> Refused {
        let path = match (head.target.path_and_query, head.raw_path()) {
            ("", _) => "",
            (_, "") => "/",
            (_, path) => path,
        };
        let address = caller.address(head.fields);
        let facts = facts(head, address, "", String::new(), cut(path, PATH_BYTES_MAX));
        let base = caller.base(head.fields, authority);
        self.note_refused(&Identity::Keyless, refusal.reason, facts);
        Refused { next: NextRequest::CannotBeTold, ..Refused::new(refusal, &base) }
    }
}

struct Reading<'r, 'a> {
    engine: &'r Engine,
    head: &'r RequestHead<'a>,
    caller: &'r Caller<'r>,
    address: IpAddr,
    canonical: &'r Canonical<'a>,
    api: ApiRef<'r>,
}

impl Reading<'_, '_> {
    fn admit(&self, policy: &Arc<Policy>, looked_up: Option<LookedUp>) -> Admission {
        let spec = self.api.api.spec();
        let (presented, operation) = if spec.mode == Mode::Off {
            (Presented::Nothing, OperationMatch::unguarded())
        } else {
            let Canonical { method, path, folded, query, .. } = self.canonical;
            let presented = credential::find(self.head.fields, *query, &spec.credential);
            (presented, self.api.api.operation(method, path, folded))
        };
        let decided = self.engine.decide(&Incoming {
            policy,
            api: self.api,
            operation: &operation,
            presented: &presented,
            objection: self.objection(&operation).as_ref(),
            address: self.address,
            looked_up,
        });
        let Decided { identity, decision } = match decided {
            Ok(decided) => decided,
            Err(unknown) => return Admission::UnknownKey(unknown),
        };
        // What is no key of ours is the API's, and goes on to it, whatever it was meant for.
        let place = match (&identity, &presented) {
            (Identity::Key(_), Presented::Key(key) | Presented::Other(key)) => Some(key.place),
            _ => None,
        };
        match decision {
            Err(refusal) => Admission::Refused(self.refused(refusal, &identity, &operation)),
            Ok(Permit::Read(permit)) => {
                if let Some(objection) = permit.objection() {
                    let facts = self.facts(&operation);
                    self.engine.note_objection(&identity, objection, facts);
                }
                Admission::Read(ReadPermit { request: self.request(identity, place), permit })
            }
            Ok(Permit::Write(permit)) => {
                let attempt = self.attempt(policy, identity, place, &operation);
                Admission::Write(WritePermit { attempt, permit })
            }
            Ok(Permit::Body(permit)) => {
                let attempt = self.attempt(policy, identity, place, &operation);
                let query = attempt.request.target.query(self.head).unwrap_or_default();
                let method = self.canonical.method.clone();
                let head = CountedHead::new(method, query, self.head.fields);
                Admission::Counted(BodyPermit { attempt, head, permit })
            }
        }
    }

    /// What speaks against a request that could be forwarded.
    fn objection(&self, operation: &OperationMatch) -> Option<Refusal> {
        let spec = self.api.api.spec();
        let is_above = |max| self.head.content_length().is_some_and(|length| length > max);
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

    fn facts(&self, operation: &OperationMatch) -> RequestFacts {
        let api: &Api = self.api.api;
        let label = api.label(&self.canonical.method, operation);
        facts(self.head, self.address, api.name(), label, self.canonical.path.to_string())
    }

    fn base(&self) -> String {
        self.caller.base(self.head.fields, Some(self.canonical.authority))
    }

    fn refused(
        &self,
        refusal: Refusal,
        identity: &Identity,
        operation: &OperationMatch,
    ) -> Refused {
        let mut facts = self.facts(operation);
        facts.path = cut(&facts.path, PATH_BYTES_MAX);
        self.engine.note_refused(identity, refusal.reason, facts);
        Refused::new(refusal, &self.base())
    }

    fn attempt(
        &self,
        policy: &Arc<Policy>,
        identity: Identity,
        place: Option<CredentialPlace>,
        operation: &OperationMatch,
    ) -> Attempt {
        Attempt {
            request: self.request(identity, place),
            policy: policy.clone(),
            facts: Arc::new(self.facts(operation)),
            base: self.base(),
        }
    }

    fn request(&self, identity: Identity, place: Option<CredentialPlace>) -> AdmittedRequest {
        let spec = self.api.api.spec();
        let credential = place.filter(|_| !spec.upstream.forward_credential);
        AdmittedRequest {
            api: self.api.api.clone(),
            identity,
            plan: None,
            address: self.address,
            scheme: self.caller.scheme(self.head.fields),
            target: ForwardedTarget::of(
                self.head,
                &self.canonical.path,
                credential,
                &spec.credential,
            ),
            credential,
            is_upgrade: self.canonical.upgrade,
        }
    }
}

/// The host as the request names it, where that can stand in a link.
fn host_field<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    let text = match head.fields.first("host") {
        Some(host) => text_of(host)?,
        None => head.target.authority?,
    };
    text.parse::<Authority>()
        .is_ok_and(|authority| authority.as_str() == text && !text.contains('@'))
        .then_some(text)
}

fn facts(
    head: &RequestHead<'_>,
    address: IpAddr,
    api: &str,
    operation: String,
    path: String,
) -> RequestFacts {
    let user_agent = head
        .fields
        .first("user-agent")
        .map(|value| cut(&String::from_utf8_lossy(value), USER_AGENT_BYTES_MAX));
    RequestFacts {
        api: api.to_owned(),
        operation,
        method: cut(head.method, METHOD_BYTES_MAX),
        path,
        address,
        user_agent,
        request_bytes: head.content_length(),
    }
}

fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

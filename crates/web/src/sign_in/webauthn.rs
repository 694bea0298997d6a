//! The ceremonies of `WebAuthn`, each from its options to its end.
//!
//! A ceremony lives in memory between the two, for a few minutes, is used once, and bound to what it was
//! begun for: becoming an owner by a claim link, adding a passkey, or showing one, to sign in or to confirm
//! one's identity.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::owners::owner::OwnerView;
use keystile_engine::owners::passkey::NewPasskey;
use tokio::time::Instant;
use url::{Host, Url};
use uuid::Uuid;
use webauthn_rs::prelude::{
    CreationChallengeResponse, DiscoverableAuthentication, Passkey, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, RequestChallengeResponse,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};
use webauthn_rs_proto::ResidentKeyRequirement;

use crate::settings::WebSettings;

/// Browsers give up after five minutes by themselves.
const CEREMONY_MAX: Duration = Duration::from_mins(5);
/// More ceremonies than this at once are nobody's honest use.
const CEREMONIES_MAX: usize = 256;

/// What a registration was begun for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To become an owner by a claim link, under a name.
    Claim { secret: String, name: String },
    /// To sign in by, besides what an owner has.
    Add { owner: String },
}

struct Registration {
    purpose: Purpose,
    handle: Uuid,
    state: PasskeyRegistration,
}

enum Ceremony {
    Registration(Box<Registration>),
    Assertion(Box<DiscoverableAuthentication>),
}

/// The ceremonies under way, and where the console is reached for them.
pub(crate) struct Ceremonies {
    /// `None` where the console has no name that passkeys could be bound to.
    webauthn: Option<Webauthn>,
    under_way: Mutex<HashMap<String, (Instant, Ceremony)>>,
}

/// A passkey that was made.
pub(crate) struct Made {
    pub(crate) purpose: Purpose,
    pub(crate) handle: Uuid,
    pub(crate) passkey: NewPasskey,
}

/// The origin that passkeys are bound to: the configured one, or localhost. Never an address, which no
/// passkey can be bound to.
pub(crate) fn origin(settings: &WebSettings) -> Option<Url> {
    if let Some(url) = &settings.url {
        let url: Url = url.parse().ok()?;
        return matches!(url.host(), Some(Host::Domain(_))).then_some(url);
    }
    let scheme = if settings.is_secure { "https" } else { "http" };
    let port = settings.listen.port();
    let is_local = settings.listen.ip().is_loopback() && !settings.behind_proxy;
    is_local.then(|| format!("{scheme}://localhost:{port}").parse().ok()).flatten()
}

fn failure(message: &str, help: &str) -> Failure {
    Failure { kind: FailureKind::Invalid, message: message.to_owned(), help: Some(help.to_owned()) }
}

fn over() -> Failure {
    failure("this took too long, or was done already", "begin again")
}

fn refused(error: &dyn std::error::Error) -> Failure {
    tracing::info!(%error, "a passkey was refused");
    failure("the passkey could not be accepted", "try again, or use another one")
}

impl Ceremonies {
    pub(crate) fn new(settings: &WebSettings) -> Self {
        let webauthn = origin(settings).and_then(|origin| {
            let id = origin.host_str()?.to_owned();
            let built = WebauthnBuilder::new(&id, &origin)
                .and_then(|builder| builder.rp_name("Keystile").build());
            built.inspect_err(|error| tracing::warn!(%error, "passkeys cannot be used")).ok()
        });
        Self { webauthn, under_way: Mutex::default() }
    }

    /// Whether passkeys can be used at all.
    pub(crate) fn are_usable(&self) -> bool {
        self.webauthn.is_some()
    }

    fn webauthn(&self) -> Result<&Webauthn, Failure> {
        self.webauthn.as_ref().ok_or_else(|| {
            failure(
                "passkeys cannot be used at this address",
                "set [console] url to the name that browsers use, or sign in with a password",
            )
        })
    }

    fn keep(&self, ceremony: Ceremony) -> Result<String, Failure> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        under_way.retain(|_, (since, _)| now.duration_since(*since) < CEREMONY_MAX);
        if under_way.len() >= CEREMONIES_MAX {
            return Err(failure("too many people sign in just now", "try again in a few minutes"));
        }
        let id = Uuid::new_v4().to_string();
        under_way.insert(id.clone(), (now, ceremony));
        Ok(id)
    }

    fn take(&self, id: &str) -> Result<Ceremony, Failure> {
        let taken = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        let (since, ceremony) = taken.ok_or_else(over)?;
        if since.elapsed() < CEREMONY_MAX { Ok(ceremony) } else { Err(over()) }
    }

    /// Begins to make a passkey for a name; `known` are the ones that its owner has.
    pub(crate) fn begin_registration(
        &self,
        purpose: Purpose,
        handle: Uuid,
        name: &str,
        known: Vec<Vec<u8>>,
    ) -> Result<(String, CreationChallengeResponse), Failure> {
        let begun = self.webauthn()?.start_passkey_registration(handle, name, name, Some(known));
        let (mut options, state) = begun.map_err(|error| refused(&error))?;
        // Owners sign in without typing a name, so the authenticator has to remember whose it is.
        if let Some(selection) = &mut options.public_key.authenticator_selection {
            selection.resident_key = Some(ResidentKeyRequirement::Required);
            selection.require_resident_key = true;
        }
        let ceremony = Registration { purpose, handle, state };
        Ok((self.keep(Ceremony::Registration(Box::new(ceremony)))?, options))
    }

    /// Ends it.
    pub(crate) fn finish_registration(
        &self,
        id: &str,
        made: &RegisterPublicKeyCredential,
        name: &str,
    ) -> Result<Made, Failure> {
        let Ceremony::Registration(begun) = self.take(id)? else {
            return Err(over());
        };
        let passkey = self
            .webauthn()?
            .finish_passkey_registration(made, &begun.state)
            .map_err(|error| refused(&error))?;
        let data = serde_json::to_string(&passkey).map_err(|error| refused(&error))?;
        Ok(Made {
            purpose: begun.purpose,
            handle: begun.handle,
            passkey: NewPasskey {
                credential: passkey.cred_id().clone(),
                data,
                name: name.to_owned(),
            },
        })
    }

    /// Asks for a passkey of any owner.
    pub(crate) fn begin_assertion(&self) -> Result<(String, RequestChallengeResponse), Failure> {
        let begun = self.webauthn()?.start_discoverable_authentication();
        let (mut options, state) = begun.map_err(|error| refused(&error))?;
        // The library means it for a form's suggestions; here a button asks.
        options.mediation = None;
        Ok((self.keep(Ceremony::Assertion(Box::new(state)))?, options))
    }

    /// Ends an assertion: says whose passkey it was, and keeps what became of it.
    pub(crate) async fn finish_assertion(
        &self,
        engine: &Engine,
        id: &str,
        shown: &PublicKeyCredential,
    ) -> Result<OwnerView, Failure> {
        let Ceremony::Assertion(state) = self.take(id)? else {
            return Err(over());
        };
        let webauthn = self.webauthn()?;
        let identified = webauthn.identify_discoverable_authentication(shown);
        let (handle, credential) = identified.map_err(|error| refused(&error))?;
        let unknown = || failure("no owner has this passkey", "use another one");
        let found = engine.owner_of_passkey(handle, credential).await?;
        let (owner, known) = found.ok_or_else(unknown)?;
        let mut passkey: Passkey =
            serde_json::from_str(&known.data).map_err(|error| refused(&error))?;
        let result = webauthn
            .finish_discoverable_authentication_v2(shown, *state, &passkey)
            .map_err(|error| refused(&error))?;
        if passkey.update_credential(&result).is_none() {
            return Err(unknown());
        }
        let data = serde_json::to_string(&passkey).map_err(|error| refused(&error))?;
        engine.update_passkey(credential, data).await?;
        Ok(owner)
    }
}

//! The account as one call sees it.
//!
//! # What this protects
//!
//! An application whose key is locked in Keystile, or that is locked or suspended there as a whole, is not active
//! here, from the next call on, whether or not it has a key left.

use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::hash::{KeyHash, Pepper};
use keystile_core::keys::key::KeyState;
use keystile_core::time::Timestamp;
use keystile_store::key_cache::KeyCache;

use super::catalog::{ApplicationEntry, Catalog, ServiceEntry};
use super::record::SecretHash;
use crate::backend::catalog::{Application, Directory, Service};

/// The catalog as one call sees it.
#[derive(Debug)]
pub(super) struct View<'c> {
    /// The catalog, held against changes.
    pub(super) catalog: &'c Catalog,
    /// Under which the gate's keys are hashed, and those of applications.
    pub(super) pepper: &'c Pepper,
    /// Under which provider keys and service tokens are hashed.
    pub(super) provider_pepper: &'c Pepper,
    /// The service token of all services, where there is one.
    pub(super) gateway_token: Option<SecretHash>,
    /// The keys of the gate, for their locks; `None` where these were looked at before, by what reserved the
    /// call's writes.
    pub(super) keys: Option<&'c KeyCache>,
    /// The time of the call.
    pub(super) now: Timestamp,
}

impl View<'_> {
    fn key(&self, presented: &str) -> SecretHash {
        SecretHash(self.pepper.hash(presented.as_bytes()))
    }

    fn provider_secret(&self, presented: &str) -> SecretHash {
        SecretHash(self.provider_pepper.hash(presented.as_bytes()))
    }

    /// An application as it is now: not active while one of its keys is locked, or all of it is locked or suspended.
    fn now<'e>(&self, entry: &'e ApplicationEntry) -> &'e Application {
        let is_stopped = |hash: &KeyHash| {
            self.keys.and_then(|keys| keys.find(hash)).is_some_and(|key| {
                !matches!(key.state(self.now), KeyState::Active)
                    || key.application.state() != ApplicationState::Active
            })
        };
        let is_looked_at = self.keys.is_some();
        if is_looked_at && (entry.is_stopped_here(self.now) || entry.gate_keys().any(is_stopped)) {
            entry.stopped()
        } else {
            entry.application()
        }
    }

    fn entry(&self, service: &Service) -> Option<&ServiceEntry> {
        self.catalog.service(&service.id)
    }
}

impl Directory for View<'_> {
    fn service(&self, id: &str) -> Option<&Service> {
        self.catalog.service(id).map(ServiceEntry::service)
    }

    fn default_service(&self, provider_key: &str) -> Option<&Service> {
        self.catalog.default_service(&self.provider_secret(provider_key)).map(ServiceEntry::service)
    }

    fn is_provider_key(&self, service: &Service, presented: &str) -> bool {
        let secret = self.provider_secret(presented);
        self.entry(service).is_some_and(|entry| entry.record.provider == secret)
    }

    fn is_service_token(&self, service: &Service, presented: &str) -> bool {
        let secret = self.provider_secret(presented);
        self.gateway_token == Some(secret)
            || self.entry(service).is_some_and(|entry| entry.record.tokens.contains(&secret))
    }

    fn application(&self, service: &Service, id: &str) -> Option<&Application> {
        Some(self.now(self.entry(service)?.application(id)?))
    }

    fn application_with_user_key(
        &self,
        service: &Service,
        presented: &str,
    ) -> Option<&Application> {
        let hash = self.key(presented).0;
        Some(self.now(self.entry(service)?.application_with_user_key(&hash)?))
    }

    fn is_app_key(&self, service: &Service, application: &Application, presented: &str) -> bool {
        let hash = self.key(presented);
        let entry = self.entry(service).and_then(|entry| entry.application(&application.id));
        entry.is_some_and(|entry| entry.record.keys.iter().any(|known| known.key == hash))
    }
}

//! What an account consists of.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use keystile_core::keys::hash::Pepper;
use keystile_core::time::Timestamp;
use keystile_engine::Engine;
use keystile_store::Store;

use super::catalog::Catalog;
use super::event::{Event, ReportError};
use super::gateway::Gateways;
use super::log::Log;
use super::mirror::{Links, MirrorRule};
use super::record::{AppKeyRecord, SecretHash};
use super::view::View;
use crate::pair;

/// Which metrics are writes, and of which API of Keystile's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteRule {
    /// The API, as the policy names it.
    pub api: String,
    /// The metrics, by their system names.
    pub metrics: Vec<String>,
}

/// An account.
#[derive(Debug)]
pub struct Account {
    pub(super) engine: Arc<Engine>,
    pub(super) store: Arc<Store>,
    pub(super) writes: Option<WriteRule>,
    pub(super) provider_pepper: Pepper,
    pub(super) mirror: Option<MirrorRule>,
    pub(super) catalog: RwLock<Catalog>,
    pub(super) gateways: RwLock<Gateways>,
    /// What gateways that are configured by Keystile show, for any service.
    pub(super) gateway_token: OnceLock<SecretHash>,
    /// Which applications are here as well.
    pub(super) links: Mutex<Links>,
    /// Held by whoever changes the account, so that store and memory change in one order.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// What happened to applications.
    pub events: Log<Event>,
    /// Reports that did not count.
    pub errors: Log<ReportError>,
}

impl Account {
    /// The catalog, held against changes.
    pub fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn catalog_to_change(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of the key of a provider, or of a service token.
    pub fn provider_secret(&self, text: &str) -> SecretHash {
        SecretHash(self.provider_pepper.hash(text.as_bytes()))
    }

    /// What is kept of a user key; the gate keeps the same of it.
    pub fn key(&self, text: &str) -> SecretHash {
        SecretHash(self.store.pepper().hash(text.as_bytes()))
    }

    /// Takes a service token for all services, from now on: that of the gateways which are configured here.
    /// Only the first one counts.
    pub fn accept_gateways(&self, service_token: &str) {
        let _ = self.gateway_token.set(self.provider_secret(service_token));
    }

    /// What is kept of an application key.
    pub fn app_key(&self, application: &str, text: &str) -> AppKeyRecord {
        // A text that may be that of two pairs is the key of neither at the gate.
        let pair = pair::unmistakable_text(application, text).map(|text| self.key(&text));
        AppKeyRecord { key: self.key(text), pair }
    }

    /// The store's time.
    pub fn now(&self) -> Timestamp {
        self.store.now()
    }

    /// The catalog as a call sees it, with the locks of keys.
    pub(super) fn view<'c>(&'c self, catalog: &'c Catalog, now: Timestamp) -> View<'c> {
        View {
            catalog,
            pepper: self.store.pepper(),
            provider_pepper: &self.provider_pepper,
            gateway_token: self.gateway_token.get().copied(),
            keys: Some(self.store.keys()),
            now,
        }
    }
}

//! How many connections are open, in all and by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use keystile_core::request::address::counted_address;

use crate::settings::GateSettings;

/// Connections that are open, over all cores.
#[derive(Debug, Default)]
pub(crate) struct ConnectionLimiter {
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// An open connection, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    /// Whose it is.
    pub(crate) peer: IpAddr,
    address: IpAddr,
}

impl ConnectionLimiter {
    /// Takes a place for a connection; `None` where its address, or all, have as many as they may.
    pub(crate) fn admit(
        self: &Arc<Self>,
        peer: IpAddr,
        settings: &GateSettings,
    ) -> Option<ConnectionPermit> {
        let address = counted_address(peer);
        if self.open.fetch_add(1, Ordering::Relaxed) >= settings.connections_max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let counted = ConnectionPermit { limiter: self.clone(), peer, address };
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = by_address.entry(address).or_insert(0);
        *of_address += 1;
        let is_within = *of_address <= settings.connections_per_address;
        drop(by_address);
        metrics::gauge!("keystile_connections").increment(1);
        is_within.then_some(counted)
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limiter.open.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("keystile_connections").decrement(1);
        let mut by_address = self.limiter.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_address) = by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

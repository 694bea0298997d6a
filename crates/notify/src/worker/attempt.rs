//! From a delivery to its channel's protocol.
//!
//! Secrets are read from their files for each attempt, so that one can be replaced without a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_core::request::address::AddressRange;
use keystile_engine::Engine;
use keystile_engine::notifications::claimed::ClaimedDelivery;

use super::task::DeliverySender;
use crate::channel::destination;
use crate::channel::web_push::vapid::VapidKey;
use crate::send::{Sender, SenderSettings};
use crate::text::message;

/// What sends, for each set of networks that a channel may reach.
struct Shared {
    engine: Arc<Engine>,
    /// In PKCS #8.
    vapid: Vec<u8>,
    senders: Mutex<HashMap<Vec<AddressRange>, Arc<Sender>>>,
}

/// What sends on every kind of channel.
pub(crate) fn sender(engine: Arc<Engine>, vapid: &VapidKey) -> DeliverySender {
    let shared =
        Arc::new(Shared { engine, vapid: vapid.pkcs8().to_vec(), senders: Mutex::default() });
    Arc::new(move |delivery| {
        let shared = shared.clone();
        Box::pin(async move { send(&shared, delivery).await })
    })
}

async fn send(shared: &Shared, delivery: ClaimedDelivery) -> AttemptOutcome {
    // An owner may be about to mend what is wrong.
    let later = |said: String| AttemptOutcome::Later { said, retry_after: None };
    let destination = match destination(&delivery.channel.spec, delivery.receiver.as_ref()) {
        Ok(destination) => destination,
        Err(fault) => return later(fault.to_string()),
    };
    let sender = match shared.sender(&delivery.channel.allowed_networks) {
        Ok(sender) => sender,
        Err(fault) => return later(fault),
    };
    sender.send(&*destination, &message(&delivery), shared.engine.store().now()).await
}

impl Shared {
    fn sender(&self, networks: &[AddressRange]) -> Result<Arc<Sender>, String> {
        let mut known = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = known.get(networks) {
            return Ok(sender.clone());
        }
        let url = self.engine.console_url();
        let host = url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next());
        let vapid = VapidKey::from_pkcs8(&self.vapid).map_err(|error| error.to_string())?;
        let made = Sender::new(SenderSettings {
            allow_private: networks.to_vec(),
            vapid,
            console_host: host.unwrap_or("localhost").to_owned(),
            ca_file: std::env::var_os("SSL_CERT_FILE").map(Into::into),
        });
        let sender = Arc::new(made.map_err(|error| error.to_string())?);
        known.insert(networks.to_vec(), sender.clone());
        Ok(sender)
    }
}

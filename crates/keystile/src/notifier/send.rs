//! From a delivery to its channel's protocol: the seam to what speaks them.

use std::sync::Arc;

use keystile_core::delivery::AttemptOutcome;

use super::Sender;
use super::message::message;

/// What sends on every kind of channel.
pub fn sender() -> Sender {
    Arc::new(|delivery| {
        Box::pin(async move {
            let message = message(&delivery);
            let kind = delivery.channel.spec.kind();
            tracing::debug!(
                delivery.id = message.id,
                channel.kind = kind,
                "nothing sends this yet"
            );
            AttemptOutcome::Later {
                said: format!("this version does not send on channels of kind {kind}"),
                retry_after: None,
            }
        })
    })
}

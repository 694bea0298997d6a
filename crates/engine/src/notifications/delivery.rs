//! What owners see of deliveries and channels, and do with them.

use std::time::Duration;

use keystile_core::key::{DeliveryId, SubscriptionId};
use keystile_core::lock::Actor;
use keystile_core::notifications::channel::{ChannelRule, ChannelSpec};
use keystile_core::notifications::delivery::DeliveryState;
use keystile_core::notifications::notice::Notice;
use keystile_core::notifications::watch::TriggerKind;
use keystile_core::time::Timestamp;
use keystile_store::sqlite::audit::event::EventKind;
use keystile_store::sqlite::notifications::digest_stop;
use keystile_store::sqlite::notifications::outbox::{self, DeliveryQuery, DeliveryRow};
use keystile_store::sqlite::notifications::subscription;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::advice;
use crate::command::Failure;
use crate::execute::{LISTED_MAX, failure};
use crate::legacy::Answer;

/// How long a test waits for the other side.
const TEST_WAIT: Duration = Duration::from_mins(1);
/// How often it looks.
const TEST_PAUSE: Duration = Duration::from_millis(100);

/// Which deliveries to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryFilter {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those on this channel.
    pub channel: Option<String>,
    /// Only those of this event.
    pub event: Option<TriggerKind>,
    /// Only those before this one.
    pub before: Option<DeliveryId>,
    /// At most so many.
    pub limit: u32,
}

/// A delivery as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// When it was written.
    pub time: Timestamp,
    /// What happened.
    pub event: TriggerKind,
    /// How many events it stands for.
    pub count: u64,
    /// What it is about: an application, or a sentence.
    pub about: String,
    /// The rule by which it is told.
    pub rule: String,
    /// The channel.
    pub channel: String,
    /// Who, where the channel has several receivers: an address or a device's name.
    pub receiver: Option<String>,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, while it waits.
    pub next: Option<Timestamp>,
    /// When it last changed.
    pub updated: Timestamp,
    /// What the other side said last.
    pub said: Option<String>,
}

/// A delivery with what was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeliveryDetails {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// What is told.
    pub notice: Notice,
    /// What was tried, earliest first.
    pub tried: Vec<AttemptView>,
}

/// An attempt at a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AttemptView {
    /// When it ended.
    pub time: Timestamp,
    /// `sent`, `later`, `never` or `gone`.
    pub outcome: String,
    /// What the other side said.
    pub said: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// A channel as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ChannelView {
    /// Its name.
    pub name: String,
    /// Its kind, as in `email`.
    pub kind: String,
    /// Who is reached; nothing that is a secret.
    pub target: String,
    /// The rules that tell on it.
    pub rules: Vec<String>,
    /// How many deliveries wait.
    pub open: u64,
    /// How many failed.
    pub failed: u64,
    /// When something last arrived.
    pub last_sent: Option<Timestamp>,
    /// Why it is off: what its other side said when it went.
    pub gone: Option<String>,
    /// Who takes no more digests, of which rules.
    pub stops: Vec<DigestStopView>,
}

/// A receiver that takes no more digests of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DigestStopView {
    /// The rule.
    pub rule: String,
    /// The address.
    pub receiver: String,
    /// Since when.
    pub since: Timestamp,
}

impl Engine {
    fn delivery_view(&self, row: &DeliveryRow) -> DeliveryView {
        let receiver = row.receiver.as_ref().map(|receiver| {
            let device = self.store.read(|read| subscription::find(read, receiver)).ok().flatten();
            device.map_or_else(|| receiver.clone(), |device| device.label)
        });
        let about = match &row.notice.key {
            Some(key) => key.application.clone(),
            None => row.notice.detail.clone(),
        };
        DeliveryView {
            id: row.id,
            time: row.created,
            event: row.kind,
            count: row.notice.count,
            about,
            rule: row.rule.clone(),
            channel: row.channel.clone(),
            receiver,
            state: row.state,
            attempts: row.attempts,
            next: (row.state == DeliveryState::Waiting).then_some(row.not_before),
            updated: row.updated,
            said: row.last_said.clone(),
        }
    }

    /// Deliveries, latest first. Blocks.
    pub fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>, Failure> {
        let query = DeliveryQuery {
            state: filter.state,
            channel: filter.channel.clone(),
            kind: filter.event,
            before: filter
                .before
                .map(|before| self.delivery_row(before))
                .transpose()?
                .map(|row| row.row),
            limit: if filter.limit == 0 { LISTED_MAX } else { filter.limit.min(LISTED_MAX) },
        };
        let rows = self.store.read(|read| outbox::list(read, &query))?;
        Ok(rows.iter().map(|row| self.delivery_view(row)).collect())
    }

    fn delivery_row(&self, id: DeliveryId) -> Result<DeliveryRow, Failure> {
        Ok(self.store.read(|read| outbox::find(read, id))?)
    }

    /// A delivery with what was tried. Blocks.
    pub fn delivery(&self, id: DeliveryId) -> Result<DeliveryDetails, Failure> {
        let row = self.delivery_row(id)?;
        let tried = self.store.read(|read| outbox::attempts(read, row.row))?;
        let view = |attempt: outbox::AttemptRow| AttemptView {
            time: attempt.time,
            outcome: attempt.outcome,
            said: attempt.said,
            duration_ms: attempt.duration_ms,
        };
        Ok(DeliveryDetails {
            delivery: self.delivery_view(&row),
            tried: tried.into_iter().map(view).collect(),
            notice: row.notice,
        })
    }

    /// Sends a delivery that failed again.
    pub async fn resend(&self, id: DeliveryId, actor: Actor) -> Result<Answer, Failure> {
        let row = self
            .store
            .change(move |work| {
                let row = work.resend_delivery(id)?;
                let detail = format!("{id} on {}", row.channel);
                work.tell_of(EventKind::DeliveryResent, Some(&row.channel), &actor, &detail)?;
                Ok(row)
            })
            .await?;
        Ok(Answer::Done(format!("{id} will be sent again on {}.", row.channel)))
    }

    /// The channels and how they stand. Blocks.
    pub fn channels(&self) -> Result<Vec<ChannelView>, Failure> {
        let watching = self.store.watching();
        let mut views = Vec::new();
        for channel in watching.channels() {
            let standing = self.store.read(|read| outbox::standing(read, &channel.name))?;
            let stops = self.store.read(|read| digest_stop::list(read, &channel.name))?;
            let stopped = |stop: digest_stop::DigestStop| DigestStopView {
                rule: stop.rule,
                receiver: stop.receiver,
                since: stop.since,
            };
            let tells = |rule: &&keystile_core::notifications::watch::WatchRule| {
                rule.tell.contains(&channel.name)
            };
            views.push(ChannelView {
                name: channel.name.clone(),
                kind: channel.spec.kind().to_owned(),
                target: channel.spec.target(),
                rules: watching
                    .rules()
                    .iter()
                    .filter(tells)
                    .map(|rule| rule.name.clone())
                    .collect(),
                open: standing.open,
                failed: standing.failed,
                last_sent: standing.last_sent,
                gone: standing.gone,
                stops: stops.into_iter().map(stopped).collect(),
            });
        }
        Ok(views)
    }

    /// Sends a real message on a channel, and waits for what the other side says.
    pub async fn test_channel(
        &self,
        name: &str,
        actor: Actor,
    ) -> Result<Vec<DeliveryView>, Failure> {
        let watching = self.store.watching();
        let Some(channel) = watching.channel(name).cloned() else {
            let names: Vec<_> =
                watching.channels().iter().map(|channel| channel.name.as_str()).collect();
            let help = if names.is_empty() {
                "write one into the configuration, as in [channel.mail]".to_owned()
            } else {
                format!("the channels are: {}", names.join(", "))
            };
            return Err(failure(format!("there is no channel {name}"), &help));
        };
        self.try_channel(channel, None, actor).await
    }

    /// Pushes a real message to a device, and waits for what its push service says.
    pub(crate) async fn test_device(
        &self,
        device: SubscriptionId,
        actor: Actor,
    ) -> Result<Vec<DeliveryView>, Failure> {
        let watching = self.store.watching();
        let is_push = |channel: &&ChannelRule| matches!(channel.spec, ChannelSpec::WebPush { .. });
        let Some(channel) = watching.channels().iter().find(is_push).cloned() else {
            return Err(failure(
                "no channel pushes to devices",
                "write one into the configuration: [channel.phone] with kind = \"web_push\"",
            ));
        };
        self.try_channel(channel, Some(device), actor).await
    }

    async fn try_channel(
        &self,
        channel: ChannelRule,
        device: Option<SubscriptionId>,
        actor: Actor,
    ) -> Result<Vec<DeliveryView>, Failure> {
        if self.server.get().is_none() {
            return Err(failure("no server is running here that could send", advice::START_SERVER));
        }
        let ids = self
            .store
            .change(move |work| {
                let detail = channel.spec.kind();
                work.tell_of(EventKind::ChannelTested, Some(&channel.name), &actor, detail)?;
                work.test_channel(&channel, device)
            })
            .await?;
        self.wait_for(&ids).await
    }

    async fn wait_for(&self, ids: &[DeliveryId]) -> Result<Vec<DeliveryView>, Failure> {
        let mut waited = Duration::ZERO;
        loop {
            let rows =
                ids.iter().map(|id| self.delivery_row(*id)).collect::<Result<Vec<_>, _>>()?;
            let is_over = rows.iter().all(|row| match row.state {
                DeliveryState::Waiting | DeliveryState::Sending => false,
                DeliveryState::Sent | DeliveryState::Failed => true,
            });
            if is_over || waited >= TEST_WAIT {
                return Ok(rows.iter().map(|row| self.delivery_view(row)).collect());
            }
            tokio::time::sleep(TEST_PAUSE).await;
            waited += TEST_PAUSE;
        }
    }
}

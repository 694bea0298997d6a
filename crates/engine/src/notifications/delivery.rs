//! What owners see of deliveries and channels, and do with them.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::actor::Actor;
use keystile_core::notifications::channel::ChannelRule;
use keystile_core::notifications::delivery::{DeliveryId, DeliveryState};
use keystile_core::notifications::notice::Notice;
use keystile_core::notifications::subscription::SubscriptionId;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::owners::scope::Scope;
use keystile_core::time::Timestamp;
use keystile_store::deliveries::{
    AttemptRow, ChannelStanding, DeliveryQuery, DigestStop, ListedDelivery,
};
use serde::{Deserialize, Serialize};

use crate::advice;
use crate::command::failure::{failure, missing};
use crate::command::input::listed_limit;
use crate::command::{Authorized, Command, Done, Failure, Running};
use crate::engine::Engine;

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
    pub event: Option<Trigger>,
    /// Only those before this one.
    pub before: Option<DeliveryId>,
    /// At most so many.
    pub limit: u32,
}

/// A delivery as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeliveryView {
    pub id: DeliveryId,
    /// When it was written.
    pub time: Timestamp,
    /// What happened.
    pub event: Trigger,
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

/// Lists deliveries, latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListDeliveries {
    /// Which.
    pub filter: DeliveryFilter,
}

/// Shows a delivery with what was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowDelivery {
    /// Its id.
    pub delivery: DeliveryId,
}

/// Sends a delivery that failed again, under its own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResendDelivery {
    /// Its id.
    pub delivery: DeliveryId,
}

/// Lists channels and how they stand, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListChannels;

/// Sends a real message on a channel, and waits for what the other side says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestChannel {
    /// Its name.
    pub channel: String,
}

fn view(listed: ListedDelivery) -> DeliveryView {
    let ListedDelivery { row, device } = listed;
    let about = row.notice.key.map_or(row.notice.detail, |key| key.application);
    DeliveryView {
        id: row.id,
        time: row.created,
        event: row.kind,
        count: row.notice.count,
        about,
        rule: row.rule,
        channel: row.channel,
        receiver: device.or(row.receiver),
        state: row.state,
        attempts: row.attempts,
        next: (row.state == DeliveryState::Waiting).then_some(row.not_before),
        updated: row.updated,
        said: row.last_said,
    }
}

impl Command for ListDeliveries {
    type Answer = Vec<DeliveryView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<DeliveryView>> {
        Box::pin(async move {
            let DeliveryFilter { state, channel, event, before, limit } = self.filter;
            let limit = listed_limit(limit);
            let query = DeliveryQuery { state, channel, kind: event, before: None, limit };
            let found = engine.store.deliveries(query, before).await?;
            Ok(found.into_iter().map(view).collect())
        })
    }
}

impl Command for ShowDelivery {
    type Answer = DeliveryDetails;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, DeliveryDetails> {
        Box::pin(async move {
            let (found, attempts) = engine.store.delivery(self.delivery).await?;
            let tried = |attempt: AttemptRow| AttemptView {
                time: attempt.time,
                outcome: attempt.outcome,
                said: attempt.said,
                duration_ms: attempt.duration_ms,
            };
            Ok(DeliveryDetails {
                notice: found.row.notice.clone(),
                delivery: view(found),
                tried: attempts.into_iter().map(tried).collect(),
            })
        })
    }
}

impl Command for ResendDelivery {
    type Answer = Done;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Done> {
        Box::pin(async move {
            let row = engine.store.resend_delivery(self.delivery, by.actor().clone()).await?;
            Ok(Done(format!("{} will be sent again on {}.", row.id, row.channel)))
        })
    }
}

impl Command for ListChannels {
    type Answer = Vec<ChannelView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<ChannelView>> {
        Box::pin(async move {
            let rules = engine.store.watching();
            let names = rules.channels().iter().map(|channel| channel.name.clone()).collect();
            let standings = engine.store.channel_standings(names).await?;
            let channels = rules.channels().iter().zip(standings);
            Ok(channels
                .map(|(channel, standing)| channel_view(&rules, channel, standing))
                .collect())
        })
    }
}

fn channel_view(
    rules: &WatchRules,
    channel: &ChannelRule,
    (standing, stops): (ChannelStanding, Vec<DigestStop>),
) -> ChannelView {
    let named = rules.rules().iter().filter(|rule| rule.tell.contains(&channel.name));
    let stopped = |stop: DigestStop| DigestStopView {
        rule: stop.rule,
        receiver: stop.receiver,
        since: stop.since,
    };
    ChannelView {
        name: channel.name.clone(),
        kind: channel.spec.kind().to_owned(),
        target: channel.spec.target().to_owned(),
        rules: named.map(|rule| rule.name.clone()).collect(),
        open: standing.open,
        failed: standing.failed,
        last_sent: standing.last_sent,
        gone: standing.gone,
        stops: stops.into_iter().map(stopped).collect(),
    }
}

impl Command for TestChannel {
    type Answer = Vec<DeliveryView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(
        self,
        engine: &'a Arc<Engine>,
        by: &'a Authorized,
    ) -> Running<'a, Vec<DeliveryView>> {
        Box::pin(async move {
            let (rules, name) = (engine.store.watching(), self.channel);
            let Some(channel) = rules.channel(&name).cloned() else {
                let names: Vec<_> =
                    rules.channels().iter().map(|channel| channel.name.as_str()).collect();
                let help = if names.is_empty() {
                    "write one into the configuration, as in [channel.mail]".to_owned()
                } else {
                    format!("the channels are: {}", names.join(", "))
                };
                return Err(missing(format!("there is no channel {name}"), &help));
            };
            engine.try_channel(channel, None, by.actor().clone()).await
        })
    }
}

impl Engine {
    /// Pushes a real message to a device, and waits for what its push service says.
    pub(crate) async fn test_device(
        &self,
        device: SubscriptionId,
        actor: Actor,
    ) -> Result<Vec<DeliveryView>, Failure> {
        let watching = self.store.watching();
        let is_push = |channel: &&ChannelRule| channel.spec.is_for_devices();
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
        let ids = self.store.test_channel(channel, device, actor).await?;
        self.wait_for(&ids).await
    }

    async fn wait_for(&self, ids: &[DeliveryId]) -> Result<Vec<DeliveryView>, Failure> {
        let mut waited = Duration::ZERO;
        loop {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.push(view(self.store.delivery(*id).await?.0));
            }
            let is_over = found.iter().all(|delivery| match delivery.state {
                DeliveryState::Waiting | DeliveryState::Sending => false,
                DeliveryState::Sent | DeliveryState::Failed => true,
            });
            if is_over || waited >= TEST_WAIT {
                return Ok(found);
            }
            tokio::time::sleep(TEST_PAUSE).await;
            waited += TEST_PAUSE;
        }
    }
}

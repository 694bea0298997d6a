//! Recording: one call for everything that happens. It appends the event to the audit and writes what
//! rules make of it, messages and counts, in the transaction that makes the event true.

use std::sync::Arc;

use keystile_core::notifications::channel::ChannelRule;
use keystile_core::notifications::delivery::DeliveryId;
use keystile_core::notifications::digest::Occurrence;
use keystile_core::notifications::notice::Notice;
use keystile_core::notifications::plan::{self, Content, Plan};
use keystile_core::notifications::subscription::SubscriptionId;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::notifications::watch::{KeyFacts, WatchRules};
use keystile_core::time::Timestamp;

use crate::error::Result;
use crate::sqlite::audit::event::{Event, Facts};
use crate::sqlite::notifications::notice::{
    digest_notice, key_facts, notice_application, notice_key,
};
use crate::sqlite::notifications::outbox::NewMessage;
use crate::sqlite::notifications::window;
use crate::sqlite::writer::write_tx::WriteTx;

impl WriteTx<'_> {
    /// Records an event. It is in the audit, and owners are notified of it, exactly when the rest of the
    /// transaction becomes durable.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(crate) fn record_event(&mut self, event: &Event<'_>) -> Result<()> {
        self.append(event)?;
        match event.trigger() {
            Some(trigger) => self.notify_of(trigger, event),
            None => Ok(()),
        }
    }

    fn notify_of(&mut self, trigger: Trigger, event: &Event<'_>) -> Result<()> {
        let rules = self.watching();
        if rules.waiting_for(trigger, None).next().is_none() {
            return Ok(());
        }
        let key = event.key.map(|row| notice_key(self.connection, row)).transpose()?.flatten();
        let whole = event.application.filter(|_| event.kind.is_of_application());
        let whole =
            whole.map(|row| notice_application(self.connection, row)).transpose()?.flatten();
        let waiting = match &event.facts {
            Facts::Level { rule, .. } => vec![*rule],
            Facts::Nothing
            | Facts::Unannounced
            | Facts::Lock { .. }
            | Facts::Unlock
            | Facts::FailedChannel => {
                let facts = match &whole {
                    Some((whole, plan)) => {
                        let facts = key_facts(key.as_ref());
                        let plan = facts.plan.or(Some(plan));
                        Some(KeyFacts { application: Some(&whole.name), plan, ..facts })
                    }
                    None => event.key.map(|_| key_facts(key.as_ref())),
                };
                rules.waiting_for(trigger, facts).map(|(place, _)| place).collect()
            }
        };
        let except = match &event.facts {
            Facts::FailedChannel => event.subject.map(str::to_owned),
            Facts::Nothing
            | Facts::Unannounced
            | Facts::Lock { .. }
            | Facts::Unlock
            | Facts::Level { .. } => None,
        };
        let planned = plan::Event {
            trigger,
            rules: waiting,
            occurrence: Occurrence {
                subject: event.key.unwrap_or(0),
                count: 1,
                sample: self.memory.audit.last_event(),
            },
            thread: match &whole {
                Some((whole, _)) => Some(whole.id.clone()),
                None => key.as_ref().map(|key| key.id.clone()),
            },
            except,
        };
        let mut notice = notice_of(trigger, event, self.now);
        notice.key = key;
        notice.application = whole.map(|(whole, _)| whole);
        self.notify(&rules, &[planned], |_, _| Ok(notice.clone()))
    }

    /// Writes what rules make of events; `notice_of` gives the facts of the one at a place.
    pub(crate) fn notify(
        &mut self,
        rules: &WatchRules,
        events: &[plan::Event],
        notice_of: impl Fn(&Self, &plan::Event) -> Result<Notice>,
    ) -> Result<()> {
        let state = window::load(self.connection, rules, events, self.now)?;
        let plan = plan::plan(rules, events, state, self.now);
        self.save(&plan, |tx, place| notice_of(tx, &events[place])).map(drop)
    }

    /// Writes a message that tries a channel, or one device of it. Says the ids of its deliveries.
    pub(crate) fn test_channel(
        &mut self,
        channel: &ChannelRule,
        device: Option<SubscriptionId>,
    ) -> Result<Vec<DeliveryId>> {
        let state = window::channel_state(self.connection, channel)?;
        let device = device.map(|device| device.to_string());
        let message = plan::test(channel, device, &state, self.now);
        let notice = Notice::new(Trigger::Test, self.now);
        self.send_message(&NewMessage { message: &message, notice: &notice })
    }

    pub(super) fn save(
        &mut self,
        plan: &Plan<'_>,
        notice_of: impl Fn(&Self, usize) -> Result<Notice>,
    ) -> Result<usize> {
        for ((rule, channel), open) in &plan.windows {
            window::save(self.connection, rule, channel, open)?;
        }
        for message in &plan.messages {
            let notice = match &message.content {
                Content::Event(place) => notice_of(self, *place)?,
                Content::Digest { trigger, since, counts } => {
                    digest_notice(self.connection, *trigger, (*since, self.now), counts)?
                }
                Content::Test => Notice::new(Trigger::Test, self.now),
            };
            self.send_message(&NewMessage { message, notice: &notice })?;
        }
        Ok(plan.messages.len())
    }

    pub(crate) fn watching(&self) -> Arc<WatchRules> {
        self.memory.watching.load_full()
    }
}

/// What messages say of an event.
fn notice_of(trigger: Trigger, event: &Event<'_>, now: Timestamp) -> Notice {
    let mut notice = Notice::new(trigger, now);
    event.detail.clone_into(&mut notice.detail);
    match &event.facts {
        Facts::Lock { lock, budget } => {
            notice.budget.clone_from(budget);
            notice.lock = Some((*lock).clone());
            notice.actor = Some(lock.actor.to_string());
            notice.detail.clone_from(&lock.reason);
        }
        Facts::Unlock => notice.actor = Some(event.actor.to_string()),
        Facts::Level { budget, .. } => notice.budget = Some(budget.clone()),
        Facts::Nothing | Facts::Unannounced | Facts::FailedChannel => {}
    }
    notice
}

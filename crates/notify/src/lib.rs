//! Notifications on their way to the owner: what they say, how each kind of channel shows them, and the
//! worker that sends them.
//!
//! # Who is who
//! - An **event** is something that happened; a rule decides of which events whom to notify. Neither
//!   is known here.
//! - A [`message::Message`] is one event, or a digest of many, in words, before any channel's form.
//! - A **channel** is what the owner configured. It has one or more **receivers**: an address of a mail
//!   channel, a subscribed browser of a push channel, the one address of any other. A kind of channel is a
//!   [`channel::ChannelKind`], which makes of the owner's settings a destination for one receiver.
//! - A **delivery** is one message for one receiver. It has **attempts** until one succeeds or none
//!   makes sense. Each attempt is one call of `Sender::send` with the same message, so that a
//!   receiver knows a repeat by its Message-ID or webhook-id.
//! - An **action link** opens a page of the console. Nothing in a message acts by being fetched.
//!
//! # What this protects
//! - What strangers chose is shown as text: `render` cuts and cleans every message before any
//!   channel's form is made of it.
//! - No address leads inside: [`address`] resolves and checks each before it is connected to, and no
//!   redirect is followed.
//! - A peer that hangs, floods or lies costs one bounded attempt.
//! - Secrets do not print, and are taken out of what a peer answers.
//!
//! # Not here
//! Rules, grouping, the outbox, retries and their back-off: an attempt says only whether another one
//! makes sense ([`keystile_core::notifications::delivery::AttemptOutcome`]), and [`worker`] hands that to the engine.

pub mod address;
pub mod channel;
pub mod message;
mod render;
mod secret;
mod send;
mod text;
pub mod worker;

pub use channel::web_push::vapid::{VapidError, VapidKey};

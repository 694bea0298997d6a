//! What a kind of channel is: its settings, and how one message becomes what is sent.

use std::fmt;

use keystile_core::notifications::channel::{Audience, ChannelSettings};
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_core::time::Timestamp;
use keystile_engine::notifications::claimed::Receiver;
use url::Url;

use super::value::ChannelFault;
use super::web_push::vapid::VapidKey;
use crate::message::Message;
use crate::render::Shown;
use crate::send::http::HttpRequest;
use crate::send::smtp::Mail;

/// A kind of channel.
#[derive(Debug)]
pub struct ChannelKind {
    /// Its name, as the configuration writes it.
    pub name: &'static str,
    /// What it is, in a sentence for the configuration's reference.
    pub about: &'static str,
    /// The settings that it takes besides those of every channel, in the order in which they are checked.
    pub fields: &'static [Field],
    /// Where a channel leads, for people; nothing that is a secret.
    pub target: fn(&ChannelSettings) -> String,
    /// Who receives its messages.
    pub audience: fn(&ChannelSettings) -> Audience,
    /// Reads what one receiver needs to be sent a message, secrets included.
    pub(super) destination: fn(&ChannelSettings, Option<&Receiver>) -> Destined,
}

/// A setting that a kind takes.
#[derive(Debug)]
pub struct Field {
    /// Its name. A secret is written as `<name>_file` or `<name>_env`.
    pub name: &'static str,
    /// What may stand in it.
    pub form: FieldForm,
    /// Whether a channel can do without.
    pub need: Need,
    /// An example, for messages.
    pub example: &'static str,
}

/// What may stand in a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldForm {
    /// One line of text.
    Line,
    /// An address of the web: `https`, or `http` within networks that the owner named.
    WebAddress,
    /// A mail address.
    MailAddress,
    /// One mail address or several.
    MailAddresses,
    /// A mail server. Its password is kept as the secret `password`.
    MailServer,
    /// A `mailto:` or `https:` address for questions.
    Contact,
    /// A secret, in a file or an environment variable.
    Secret,
}

/// Whether a channel can do without a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It cannot.
    Required,
    /// It can.
    Optional,
}

impl Field {
    /// A setting that a channel cannot do without.
    pub(super) const fn required(
        name: &'static str,
        form: FieldForm,
        example: &'static str,
    ) -> Self {
        Self { name, form, need: Need::Required, example }
    }

    /// A setting that a channel can do without.
    pub(super) const fn optional(
        name: &'static str,
        form: FieldForm,
        example: &'static str,
    ) -> Self {
        Self { name, form, need: Need::Optional, example }
    }

    /// The address of a server or hook that is no secret.
    pub(super) const fn url() -> Self {
        Self::required("url", FieldForm::WebAddress, "https://hooks.example.org/keystile")
    }

    /// A secret that a channel cannot do without.
    pub(super) const fn secret(name: &'static str) -> Self {
        Self::required(name, FieldForm::Secret, "")
    }
}

/// A receiver, or why there is none.
pub(super) type Destined = Result<Box<dyn Destination>, ChannelFault>;

/// One receiver of a channel, with its settings parsed and its secrets read.
pub(crate) trait Destination: fmt::Debug + Send + Sync {
    /// Where it is, where that is an address that must not lead inside.
    fn url(&self) -> Option<&Url>;

    /// The message in the form of this kind, as it is sent. Fails where none can be made of it.
    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome>;
}

/// What is sent, and who sends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    /// The message as it was written.
    pub(crate) message: &'a Message,
    /// The message with every text safe to show.
    pub(crate) shown: &'a Shown,
    /// This Keystile.
    pub(crate) sender: &'a SenderIdentity,
    /// The wall clock's time.
    pub(crate) now: Timestamp,
}

/// How receivers know this Keystile.
#[derive(Debug)]
pub(crate) struct SenderIdentity {
    /// The key that push services know it by.
    pub(crate) vapid: VapidKey,
    /// The console's host.
    pub(crate) host: String,
}

/// A message on its way out, by the protocol that carries it.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A request.
    Http(Box<HttpRequest>),
    /// A mail.
    Mail(Box<Mail>),
}

impl From<HttpRequest> for Outgoing {
    fn from(request: HttpRequest) -> Self {
        Self::Http(Box::new(request))
    }
}

/// The target of a channel whose address is its secret.
pub(super) fn secret_address(_: &ChannelSettings) -> String {
    "a secret address".to_owned()
}

/// The target of a channel at an address that is no secret.
pub(super) fn url_setting(settings: &ChannelSettings) -> String {
    settings.text("url").to_owned()
}

/// The audience of a channel with one receiver.
pub(super) fn one(_: &ChannelSettings) -> Audience {
    Audience::One
}

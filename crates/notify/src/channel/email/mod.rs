//! Email: the message as MIME, handed to the owner's mail server.

mod html;
mod mail;
mod settings;
mod text;

use keystile_core::notifications::channel::{Audience, ChannelSettings};
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::notifications::claimed::Receiver;
use url::Url;

use self::mail::{host_for, mail};
use self::settings::{Email, mailbox};
use super::kind::{Attempt, ChannelKind, Destination, Destined, Field, FieldForm, Outgoing};
use super::value::{ChannelFault, optional_secret};
use crate::send::answer::never;
use crate::send::smtp::{Mail, SmtpServer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "email",
    about: "Email.",
    fields: &[
        Field::required("to", FieldForm::MailAddresses, "me@example.org"),
        Field::required("from", FieldForm::MailAddress, "keystile@example.org"),
        Field::required("smtp", FieldForm::MailServer, "smtps://user@mail.example.org"),
    ],
    target: |settings| settings.texts("to").join(", "),
    audience: |settings| Audience::Addresses(settings.texts("to").to_vec()),
    destination,
};

fn destination(settings: &ChannelSettings, receiver: Option<&Receiver>) -> Destined {
    let Some(Receiver::Address(to)) = receiver else {
        return Err(ChannelFault::NoReceiver);
    };
    let password = optional_secret(settings, "password")?;
    Ok(Box::new(Email {
        to: mailbox(to)?,
        from: mailbox(settings.text("from"))?,
        smtp: SmtpServer::parse(settings.text("smtp"), password)?,
    }))
}

impl Destination for Email {
    fn url(&self) -> Option<&Url> {
        None
    }

    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        let host = host_for(self, &attempt.sender.host);
        let mail = mail(self, attempt.message, attempt.shown, host)
            .map_err(|error| never(&format!("no mail can be made of it: {error}")))?;
        Ok(Outgoing::Mail(Box::new(Mail { server: self.smtp.clone(), mail })))
    }
}

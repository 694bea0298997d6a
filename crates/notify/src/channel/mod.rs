//! The kinds of channel: one module each, with its settings, limits, form and protocol.
//!
//! # A new kind
//! It is one module and one line in [`KINDS`]. The configuration's parser and reference, `keystile check`
//! and the worker all go through the table. Only a setting that no kind has had before also needs its key in
//! the form of the configuration file. What kinds share lies beside: texts in `render`, protocols in `send`.

mod discord;
mod email;
mod gotify;
pub(crate) mod kind;
mod matrix;
mod ntfy;
mod pushover;
mod slack;
mod teams;
mod telegram;
pub(crate) mod value;
pub(crate) mod web_push;
mod webhook;

use keystile_core::notifications::channel::{ChannelRule, ChannelSpec};
use keystile_engine::notifications::claimed::Receiver;

pub use self::kind::{ChannelKind, Field, FieldForm, Need};
use self::value::ChannelFault;
use crate::address::AddressGuard;

/// Every kind, in the order of the configuration's reference.
pub static KINDS: [ChannelKind; 11] = [
    email::KIND,
    web_push::KIND,
    webhook::KIND,
    slack::KIND,
    discord::KIND,
    teams::KIND,
    ntfy::KIND,
    gotify::KIND,
    telegram::KIND,
    pushover::KIND,
    matrix::KIND,
];

/// The kind of a name.
pub fn kind(name: &str) -> Option<&'static ChannelKind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// What one receiver of a channel needs to be sent a message. Its secrets are read, so that one can be
/// replaced without a restart. Fails where the channel cannot send as it is set up.
pub(crate) fn destination(spec: &ChannelSpec, receiver: Option<&Receiver>) -> kind::Destined {
    let kind = kind(spec.kind()).ok_or(ChannelFault::Kind(spec.kind()))?;
    (kind.destination)(spec.settings(), receiver)
}

/// Why a channel cannot send as it is set up. Secrets are read; nothing is sent, and no name is looked up.
pub fn fault(channel: &ChannelRule) -> Option<String> {
    // A device brings what it needs, so without one there is nothing to check.
    channel.spec.receivers(&[]).into_iter().find_map(|address| {
        let receiver = address.map(Receiver::Address);
        match destination(&channel.spec, receiver.as_ref()) {
            Ok(destination) => {
                let guard = AddressGuard::new(channel.allowed_networks.clone());
                let checked = destination.url().map_or(Ok(()), |url| guard.check_written(url));
                checked.err().map(|error| error.to_string())
            }
            Err(fault) => Some(fault.to_string()),
        }
    })
}

#[cfg(test)]
pub(crate) use tests::made;

#[cfg(test)]
mod tests {
    use keystile_core::notifications::channel::{ChannelSetting, ChannelSettings, SecretSource};

    use super::kind::Destination;
    use super::*;

    /// A receiver of a channel with these settings and secrets.
    pub(crate) fn made(
        kind: &'static str,
        receiver: Option<&Receiver>,
        texts: &[(&'static str, &str)],
        secrets: &[(&'static str, &str)],
    ) -> Box<dyn Destination> {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = ChannelSettings::default();
        for (name, text) in texts {
            settings.insert(name, ChannelSetting::Text((*text).to_owned()));
        }
        for (name, secret) in secrets {
            let file = folder.path().join(name);
            std::fs::write(&file, secret).unwrap();
            settings.insert(name, ChannelSetting::Secret(SecretSource::File(file)));
        }
        (super::kind(kind).unwrap().destination)(&settings, receiver).unwrap()
    }

    #[test]
    fn each_kind_has_a_name_of_its_own() {
        for (place, kind) in KINDS.iter().enumerate() {
            let first = KINDS.iter().position(|other| other.name == kind.name);
            assert_eq!(first, Some(place), "{}", kind.name);
        }
    }

    #[test]
    fn no_destination_prints_its_secrets() {
        let hook = "https://hooks.example/services/T0/B0/SECRET";
        let signing = "whsec_U0VDUkVUU0VDUkVUU0VDUkVUU0VDUkVU";
        for destination in [
            made("slack", None, &[], &[("url", hook)]),
            made("webhook", None, &[("url", hook)], &[("secret", signing)]),
            made("ntfy", None, &[("url", hook), ("topic", "SECRET")], &[("token", "SECRET")]),
            made("pushover", None, &[("user", "SECRET")], &[("token", "SECRET")]),
        ] {
            let printed = format!("{destination:?}");
            assert!(!printed.contains("SECRET") && !printed.contains("U0VD"), "{printed}");
        }
    }
}

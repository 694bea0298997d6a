//! Channels: where owners are notified, and what they wrote about each.
//!
//! Which settings a kind takes, what they mean and how it sends is known to the crate that sends. Here a
//! channel is a name, its receivers, and settings that nobody reads.
//!
//! # What this protects
//!
//! No secret is a value here. A channel knows the file or the environment variable that holds its secret,
//! and whoever sends reads it then, so that a secret can be replaced without a restart and is in no log.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::request::address::AddressRange;

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// In a file, without the line's end.
    File(PathBuf),
    /// In an environment variable.
    Environment(String),
}

/// A way on which owners are notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRule {
    /// Its name, as rules write it.
    pub name: String,
    /// How it is reached.
    pub spec: ChannelSpec,
    /// How many messages it carries in an hour at most; what is beyond waits for a digest. Locks and
    /// storage failures do not wait.
    pub per_hour_max: u32,
    /// Addresses inside of one's own network that it may be at.
    pub allowed_networks: Vec<AddressRange>,
}

/// How a channel is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSpec {
    kind: &'static str,
    target: String,
    audience: Audience,
    settings: ChannelSettings,
}

/// Who receives the messages of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One receiver without a name, as a room of a chat.
    One,
    /// Each of these addresses, as a receiver of its own.
    Addresses(Vec<String>),
    /// Each device that owners subscribed, as a receiver of its own.
    Devices,
}

impl ChannelSpec {
    /// A channel of a kind, which must have checked the settings. `target` says to people where it leads, and
    /// holds nothing secret.
    pub fn new(
        kind: &'static str,
        target: String,
        audience: Audience,
        settings: ChannelSettings,
    ) -> Self {
        Self { kind, target, audience, settings }
    }

    /// The name of its kind, as the configuration writes it.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Where it leads, for people; nothing that is a secret.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What the owner wrote about it.
    pub fn settings(&self) -> &ChannelSettings {
        &self.settings
    }

    /// Who receives a message on it, where `devices` are the subscribed devices: several receivers by name,
    /// or one that needs none. Nobody, where no device is subscribed.
    pub fn receivers(&self, devices: &[String]) -> Vec<Option<String>> {
        match &self.audience {
            Audience::One => vec![None],
            Audience::Addresses(addresses) => addresses.iter().cloned().map(Some).collect(),
            Audience::Devices => devices.iter().cloned().map(Some).collect(),
        }
    }

    /// Whether its receivers are the subscribed devices.
    pub fn is_for_devices(&self) -> bool {
        self.audience == Audience::Devices
    }
}

/// What an owner wrote about a channel, by the names of the settings. What is not written reads as empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelSettings(BTreeMap<&'static str, ChannelSetting>);

/// What one setting says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelSetting {
    /// A text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// Where a secret is kept.
    Secret(SecretSource),
}

impl ChannelSettings {
    /// Adds a setting, or replaces it.
    pub fn insert(&mut self, name: &'static str, setting: ChannelSetting) {
        self.0.insert(name, setting);
    }

    /// The text of a setting; empty where it is not written, or is no text.
    pub fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(ChannelSetting::Text(text)) => text,
            Some(ChannelSetting::Texts(_) | ChannelSetting::Secret(_)) | None => "",
        }
    }

    /// The texts of a setting; none where it is not written.
    pub fn texts(&self, name: &str) -> &[String] {
        match self.0.get(name) {
            Some(ChannelSetting::Texts(texts)) => texts,
            Some(ChannelSetting::Text(_) | ChannelSetting::Secret(_)) | None => &[],
        }
    }

    /// Where a secret is kept; nowhere, where it is not written.
    pub fn secret(&self, name: &str) -> Option<&SecretSource> {
        match self.0.get(name) {
            Some(ChannelSetting::Secret(source)) => Some(source),
            Some(ChannelSetting::Text(_) | ChannelSetting::Texts(_)) | None => None,
        }
    }
}

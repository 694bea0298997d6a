//! Values that settings of channels hold, parsed.
//!
//! Everything is parsed before anything is sent, so that `keystile check` finds a wrong address. Secrets and
//! whole addresses do not print: the address of a hook is the permission to post to it.

use std::fmt;
use std::str::FromStr;

use keystile_core::notifications::channel::ChannelSettings;
use url::Url;

use crate::secret::{SecretFault, secret};

/// Why a channel cannot send as it is set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelFault {
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// A secret is not set.
    #[error("its `{0}` is not set")]
    NoSecret(&'static str),
    /// The address of a hook is none.
    #[error("{0}: write it as https://host/path")]
    Url(&'static str),
    /// The address of a mail server is none.
    #[error("{0}: write it as smtps://user@host or smtp://host")]
    Smtp(&'static str),
    /// A mail address is none.
    #[error("{0:?} is not a mail address")]
    Mailbox(String),
    /// The secret of a webhook has another form.
    #[error("the secret of a webhook is \"whsec_\" and base64 of 24 to 64 bytes, one a line")]
    WebhookSecret,
    /// A browser's subscription is incomplete.
    #[error("the subscription of a browser is incomplete: {0}")]
    Subscription(&'static str),
    /// There is nobody to send to.
    #[error("it has no receiver")]
    NoReceiver,
    /// No kind has this name.
    #[error("there is no kind of channel {0:?}")]
    Kind(&'static str),
}

/// A text that gives its holder a permission, and does not print.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct ChannelSecret(String);

impl ChannelSecret {
    /// The text as a file or the environment has it: spaces and line breaks around it do not count.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// An HTTP address without a user in it. Only its host prints.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct HookUrl(Url);

impl HookUrl {
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// The address with these parts added to its path, each as one segment.
    pub(crate) fn with(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl FromStr for HookUrl {
    type Err = ChannelFault;

    fn from_str(text: &str) -> Result<Self, ChannelFault> {
        let url = Url::parse(text.trim()).map_err(|_| ChannelFault::Url("it is no address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ChannelFault::Url("it is not HTTP"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ChannelFault::Url("it has a user or a password in it"));
        }
        if url.fragment().is_some() {
            return Err(ChannelFault::Url("it has a fragment"));
        }
        Ok(Self(url))
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/[redacted]", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

/// A secret of a channel, as it is now.
pub(super) fn secret_text(
    settings: &ChannelSettings,
    name: &'static str,
) -> Result<String, ChannelFault> {
    let source = settings.secret(name).ok_or(ChannelFault::NoSecret(name))?;
    Ok(secret(source)?)
}

/// A secret of a channel that need not have it.
pub(super) fn optional_secret(
    settings: &ChannelSettings,
    name: &'static str,
) -> Result<Option<ChannelSecret>, ChannelFault> {
    let text = settings.secret(name).map(secret).transpose()?;
    Ok(text.map(|text| ChannelSecret::new(&text)))
}

/// The root of a service that has one address for all, unless the settings name another.
pub(super) fn server(settings: &ChannelSettings, default: &str) -> Result<HookUrl, ChannelFault> {
    match settings.text("url") {
        "" => default.parse(),
        url => url.parse(),
    }
}

/// The token of a channel that cannot do without.
pub(super) fn token(settings: &ChannelSettings) -> Result<ChannelSecret, ChannelFault> {
    Ok(ChannelSecret::new(&secret_text(settings, "token")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_has_a_plain_address() {
        for text in
            ["ftp://h/", "https://user@h/", "https://u:p@h/", "https://h/#f", "h", "https://"]
        {
            assert!(text.parse::<HookUrl>().is_err(), "{text}");
        }
        let url: HookUrl = "https://h/base/".parse().unwrap();
        assert_eq!(url.with(&["rooms", "!a/b:c"]).as_str(), "https://h/base/rooms/!a%2Fb:c");
    }

    #[test]
    fn secrets_do_not_print() {
        let hook: HookUrl = "https://hooks.example/services/T0/B0/SECRET".parse().unwrap();
        let printed = format!("{hook:?} {:?}", ChannelSecret::new("SECRET"));
        assert_eq!(printed, "https://hooks.example/[redacted] [redacted]");
    }
}

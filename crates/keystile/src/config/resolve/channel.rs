//! Channels: what each kind needs, and nothing that it does not.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use keystile_core::notifications::channel::{ChannelRule, ChannelSpec, SecretSource};
use keystile_core::request::address::AddressRange;
use url::{Host, Url};

use super::Resolver;
use crate::config::diagnostic::Place;
use crate::config::raw::{self, ChannelKind};
use crate::config::suggest::either;
use crate::config::value::{OneOrMany, Spanned, TextOr};

const PER_HOUR_MAX: u32 = 60;

/// The name of a kind, and the keys that it takes besides those that all take.
fn form(kind: ChannelKind) -> (&'static str, &'static [&'static str]) {
    match kind {
        ChannelKind::Email => ("email", &["to", "from", "smtp"]),
        ChannelKind::WebPush => ("web_push", &["contact"]),
        ChannelKind::Webhook => ("webhook", &["url", "secret_file", "secret_env"]),
        ChannelKind::Slack => ("slack", &["url_file", "url_env"]),
        ChannelKind::Discord => ("discord", &["url_file", "url_env"]),
        ChannelKind::Teams => ("teams", &["url_file", "url_env"]),
        ChannelKind::Ntfy => ("ntfy", &["url", "topic", "token_file", "token_env"]),
        ChannelKind::Gotify => ("gotify", &["url", "token_file", "token_env"]),
        ChannelKind::Telegram => ("telegram", &["chat", "token_file", "token_env"]),
        ChannelKind::Pushover => ("pushover", &["user", "token_file", "token_env"]),
        ChannelKind::Matrix => ("matrix", &["url", "room", "token_file", "token_env"]),
    }
}

fn given(channel: &raw::Channel) -> Vec<(&'static str, Place)> {
    let text = |name, setting: &Option<Spanned<String>>| {
        setting.as_ref().map(|setting| (name, setting.place.clone()))
    };
    let to = channel.to.as_ref().map(|to| ("to", to.place.clone()));
    let smtp = channel.smtp.as_ref().map(|smtp| ("smtp", smtp.place.clone()));
    [
        to,
        smtp,
        text("from", &channel.from),
        text("contact", &channel.contact),
        text("url", &channel.url),
        text("url_file", &channel.url_file),
        text("url_env", &channel.url_env),
        text("secret_file", &channel.secret_file),
        text("secret_env", &channel.secret_env),
        text("token_file", &channel.token_file),
        text("token_env", &channel.token_env),
        text("topic", &channel.topic),
        text("chat", &channel.chat),
        text("user", &channel.user),
        text("room", &channel.room),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Resolver<'_> {
    /// The channels in the order of the file. One with a mistake is not among them.
    pub(super) fn channels(
        &mut self,
        channels: &BTreeMap<Spanned<String>, raw::Channel>,
    ) -> Vec<ChannelRule> {
        let mut channels: Vec<_> = channels.iter().collect();
        channels.sort_by_key(|(name, _)| name.place.start);
        channels.into_iter().filter_map(|(name, channel)| self.channel(name, channel)).collect()
    }

    fn channel(&mut self, name: &Spanned<String>, channel: &raw::Channel) -> Option<ChannelRule> {
        self.name("channel", name);
        let per_hour_max =
            self.number("per_hour_max", channel.per_hour_max.as_ref(), 1..=10_000, PER_HOUR_MAX);
        let allowed_networks = self.networks(channel.allow_networks.as_ref());
        let Some(kind) = channel.kind.as_ref().map(|kind| kind.value) else {
            self.lacks(name, "kind", "kind = \"email\"");
            return None;
        };
        self.check_form(kind, channel);
        let spec = self.channel_spec(kind, name, channel, &allowed_networks)?;
        let mut allowed_networks = allowed_networks;
        allowed_networks.extend(written_loopback(channel));
        Some(ChannelRule { name: name.value.clone(), spec, per_hour_max, allowed_networks })
    }

    fn check_form(&mut self, kind: ChannelKind, channel: &raw::Channel) {
        let (kind_name, keys) = form(kind);
        for (key, place) in given(channel) {
            if keys.contains(&key) {
                continue;
            }
            let is_secret_url = key == "url" && keys.contains(&"url_file");
            let (message, help) = if is_secret_url {
                let message = format!("the address of a {kind_name} webhook is a secret");
                (message, "put it into a file, and name that as `url_file`".to_owned())
            } else {
                let message = format!("a channel of kind {kind_name:?} takes no `{key}`");
                (message, format!("it takes {}", either(keys.iter().copied())))
            };
            self.error(&place, message).help(help);
        }
    }

    fn networks(&mut self, setting: Option<&OneOrMany<String>>) -> Vec<AddressRange> {
        let mut ranges = Vec::new();
        for text in setting.iter().flat_map(|setting| &setting.values) {
            match text.value.parse() {
                Ok(range) => ranges.push(range),
                Err(error) => {
                    self.error(&text.place, format!("{error}"));
                }
            }
        }
        ranges
    }

    fn channel_spec(
        &mut self,
        kind: ChannelKind,
        name: &Spanned<String>,
        channel: &raw::Channel,
        networks: &[AddressRange],
    ) -> Option<ChannelSpec> {
        match kind {
            ChannelKind::Email => self.email(name, channel),
            ChannelKind::WebPush => Some(ChannelSpec::WebPush { contact: self.contact(channel) }),
            ChannelKind::Webhook => {
                let url = self.channel_url(name, channel, networks);
                let secret = self.needed_secret(name, "secret", channel);
                Some(ChannelSpec::Webhook { url: url?, secret: secret? })
            }
            ChannelKind::Slack => {
                Some(ChannelSpec::Slack { url: self.needed_secret(name, "url", channel)? })
            }
            ChannelKind::Discord => {
                Some(ChannelSpec::Discord { url: self.needed_secret(name, "url", channel)? })
            }
            ChannelKind::Teams => {
                Some(ChannelSpec::Teams { url: self.needed_secret(name, "url", channel)? })
            }
            ChannelKind::Ntfy => {
                let url = self.channel_url(name, channel, networks);
                let topic = self.needed(name, "topic", channel.topic.as_ref(), "keystile");
                let token = self.secret(channel.token_file.as_ref(), channel.token_env.as_ref());
                Some(ChannelSpec::Ntfy { url: url?, topic: topic?, token })
            }
            ChannelKind::Gotify => {
                let url = self.channel_url(name, channel, networks);
                let token = self.needed_secret(name, "token", channel);
                Some(ChannelSpec::Gotify { url: url?, token: token? })
            }
            ChannelKind::Telegram => {
                let chat = self.needed(name, "chat", channel.chat.as_ref(), "-1001234567890");
                let token = self.needed_secret(name, "token", channel);
                Some(ChannelSpec::Telegram { chat: chat?, token: token? })
            }
            ChannelKind::Pushover => {
                let user = self.needed(
                    name,
                    "user",
                    channel.user.as_ref(),
                    "uQiRzpo4DXghDmr9QzzfQu27cmVRsG",
                );
                let token = self.needed_secret(name, "token", channel);
                Some(ChannelSpec::Pushover { user: user?, token: token? })
            }
            ChannelKind::Matrix => {
                let url = self.channel_url(name, channel, networks);
                let room = self.needed(name, "room", channel.room.as_ref(), "!abc:example.org");
                let token = self.needed_secret(name, "token", channel);
                Some(ChannelSpec::Matrix { url: url?, room: room?, token: token? })
            }
        }
    }

    /// Reports what a channel lacks, unless it was written in a way that could not be read.
    fn lacks(&mut self, name: &Spanned<String>, key: &str, example: &str) {
        if !self.is_lost(&["channel", &name.value, key]) {
            self.error(&name.place, format!("[channel.{}] needs `{key}`", name.value))
                .help(format!("write it as in {example}"));
        }
    }

    /// A text that a kind cannot do without.
    fn needed(
        &mut self,
        name: &Spanned<String>,
        key: &str,
        setting: Option<&Spanned<String>>,
        example: &str,
    ) -> Option<String> {
        let Some(setting) = setting else {
            self.lacks(name, key, &format!("{key} = {example:?}"));
            return None;
        };
        // An address is looked at as one.
        if key != "from"
            && (setting.value.is_empty() || setting.value.chars().any(char::is_control))
        {
            self.error(&setting.place, format!("`{key}` is one line of text"))
                .help(format!("write it as in {key} = {example:?}"));
        }
        Some(setting.value.clone())
    }

    fn secret(
        &mut self,
        file: Option<&Spanned<String>>,
        variable: Option<&Spanned<String>>,
    ) -> Option<SecretSource> {
        match (file, variable) {
            (None, None) => None,
            (Some(file), None) => Some(SecretSource::File(self.base.join(&file.value))),
            (file, Some(variable)) => {
                if file.is_some() {
                    self.error(&variable.place, "the secret is in a file already")
                        .help("leave out one of the two");
                }
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let name = &variable.value;
                if name.is_empty() || !name.chars().all(is_part) {
                    self.error(
                        &variable.place,
                        format!("{name:?} is not the name of an environment variable"),
                    )
                    .help("write its name, not what it holds, as in \"HOOK_SECRET\"");
                }
                Some(SecretSource::Environment(name.clone()))
            }
        }
    }

    /// The `secret`, `token` or `url` that a kind cannot do without.
    fn needed_secret(
        &mut self,
        name: &Spanned<String>,
        key: &str,
        channel: &raw::Channel,
    ) -> Option<SecretSource> {
        let (file, variable) = match key {
            "secret" => (&channel.secret_file, &channel.secret_env),
            "url" => (&channel.url_file, &channel.url_env),
            _ => (&channel.token_file, &channel.token_env),
        };
        let found = self.secret(file.as_ref(), variable.as_ref());
        // An address that was written out is reported as that.
        let variable = format!("{key}_env");
        if found.is_none()
            && !(key == "url" && channel.url.is_some())
            && !self.is_lost(&["channel", &name.value, &variable])
        {
            let example =
                format!("{key}_file = \"/run/secrets/{}\", or {variable} = \"NAME\"", name.value);
            self.lacks(name, &format!("{key}_file"), &example);
        }
        found
    }

    fn channel_url(
        &mut self,
        name: &Spanned<String>,
        channel: &raw::Channel,
        networks: &[AddressRange],
    ) -> Option<String> {
        let example = "https://hooks.example.org/keystile";
        self.needed(name, "url", channel.url.as_ref(), example)?;
        let setting = channel.url.as_ref()?;
        let url = match setting.value.parse::<Url>() {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            Ok(_) | Err(_) => {
                self.error(
                    &setting.place,
                    format!("{:?} is not an address of the web", setting.value),
                )
                .help(format!("write it as in \"{example}\""));
                return None;
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.error(&setting.place, "an address here holds no user and no password")
                .help("put the secret into a file");
        }
        if url.scheme() == "http" && !is_near(&url, networks) {
            self.error(
                &setting.place,
                "this address is outside of your machine, and not encrypted",
            )
            .help("write https://, or name its IP address and list that in `allow_networks`");
        }
        Some(setting.value.clone())
    }

    fn contact(&mut self, channel: &raw::Channel) -> Option<String> {
        let contact = channel.contact.as_ref()?;
        let is_mail = contact.value.strip_prefix("mailto:").is_some_and(is_mailbox);
        if !is_mail && !contact.value.starts_with("https://") {
            self.error(&contact.place, format!("{:?} is no contact", contact.value))
                .help("write it as in \"mailto:me@example.org\"");
        }
        Some(contact.value.clone())
    }

    fn email(&mut self, name: &Spanned<String>, channel: &raw::Channel) -> Option<ChannelSpec> {
        let to = channel.to.as_ref().map_or(&[][..], |to| &to.values);
        if to.is_empty() {
            self.lacks(name, "to", "to = [\"me@example.org\"]");
        }
        let from = self.needed(name, "from", channel.from.as_ref(), "keystile@example.org");
        for address in to.iter().chain(&channel.from) {
            if !is_mailbox(&address.value) {
                self.error(&address.place, format!("{:?} is not an email address", address.value))
                    .help("write the address alone, as in \"me@example.org\"");
            }
        }
        let (smtp_url, password) = self.smtp(name, channel)?;
        let to = to.iter().map(|to| to.value.clone()).collect();
        Some(ChannelSpec::Email { to, from: from?, smtp_url, password })
    }

    fn smtp(
        &mut self,
        name: &Spanned<String>,
        channel: &raw::Channel,
    ) -> Option<(String, Option<SecretSource>)> {
        let example = "smtp = { url = \"smtps://user@mail.example.org\", password_file = \"/run/secrets/smtp\" }";
        let Some(setting) = &channel.smtp else {
            self.lacks(name, "smtp", example);
            return None;
        };
        let table = match &setting.value {
            TextOr::Table(table) => table.clone(),
            TextOr::Text(text) => raw::Smtp {
                url: Some(Spanned { value: text.clone(), place: setting.place.clone() }),
                ..raw::Smtp::default()
            },
        };
        let password = self.secret(table.password_file.as_ref(), table.password_env.as_ref());
        let Some(url) = &table.url else {
            self.missing(&setting.place, "url", "`smtp` needs `url`", example);
            return None;
        };
        self.check_smtp(url, password.as_ref());
        Some((url.value.clone(), password))
    }

    fn check_smtp(&mut self, setting: &Spanned<String>, password: Option<&SecretSource>) {
        let url = match setting.value.parse::<Url>() {
            Ok(url) if matches!(url.scheme(), "smtp" | "smtps") && url.has_host() => url,
            Ok(_) | Err(_) => {
                self.error(
                    &setting.place,
                    format!("{:?} is not the address of a mail server", shown(&setting.value)),
                )
                .help("write it as in \"smtps://user@mail.example.org\"");
                return;
            }
        };
        let is_encrypted = url.scheme() == "smtps"
            || url.query_pairs().any(|(key, value)| key == "tls" && value == "required");
        if !is_encrypted && !is_near(&url, &[]) {
            self.error(&setting.place, "mail and password would go over the network in the clear").help(
                "write smtps://, or add ?tls=required for STARTTLS; plain smtp:// goes only to this machine",
            );
        }
        if url.password().is_some() {
            self.error(&setting.place, "a password stands in this address")
                .help("put it into a file, and name that as `password_file`");
        } else if url.username().is_empty() && password.is_some() {
            self.error(&setting.place, "there is a password, and no user")
                .help("name the user, as in \"smtps://user@mail.example.org\"");
        } else if !url.username().is_empty() && password.is_none() {
            self.error(&setting.place, "there is a user, and no password")
                .help("put the password into a file, and name that as `password_file`");
        }
    }
}

/// An address without what may be its password.
fn shown(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => {
            format!("{}...{}", &url[..scheme + 3], &url[at..])
        }
        (Some(_) | None, _) => url.to_owned(),
    }
}

/// This machine, where the owner wrote that the channel is there: the address, or `localhost`, and no other
/// name that may lead there.
fn written_loopback(channel: &raw::Channel) -> Vec<AddressRange> {
    let url = channel.url.as_ref().and_then(|url| url.value.parse::<Url>().ok());
    let addresses: Vec<IpAddr> = match url.as_ref().and_then(Url::host) {
        Some(Host::Domain("localhost")) => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Some(Host::Ipv4(address)) => vec![address.into()],
        Some(Host::Ipv6(address)) => vec![address.into()],
        Some(Host::Domain(_)) | None => Vec::new(),
    };
    let loopback = addresses.into_iter().filter(IpAddr::is_loopback);
    loopback.filter_map(|address| address.to_string().parse().ok()).collect()
}

/// Whether it is on this machine, or in a network that the owner named.
fn is_near(url: &Url, networks: &[AddressRange]) -> bool {
    let is_allowed = |address: IpAddr| {
        address.is_loopback() || networks.iter().any(|range| range.contains(address))
    };
    match url.host() {
        Some(Host::Domain(name)) => match name.parse() {
            Ok(address) => is_allowed(address),
            Err(_) => name == "localhost",
        },
        Some(Host::Ipv4(address)) => is_allowed(address.into()),
        Some(Host::Ipv6(address)) => is_allowed(address.into()),
        None => false,
    }
}

/// Whether a text is one mailbox and nothing else: no name around it, and nothing that ends a header.
fn is_mailbox(text: &str) -> bool {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>()[]\\,;:\"".contains(c);
    text.len() <= 254
        && text.chars().all(is_plain)
        && text
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

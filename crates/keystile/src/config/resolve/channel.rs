//! Channels: what each kind needs, and nothing that it does not.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use keystile_core::notifications::channel::{
    ChannelRule, ChannelSetting, ChannelSettings, ChannelSpec, SecretSource,
};
use keystile_core::request::address::AddressRange;
use keystile_notify::channel::{ChannelKind, Field, FieldForm, Need};
use url::{Host, Url};

use super::Resolver;
use crate::config::raw;
use crate::config::suggest::either;
use crate::config::value::{OneOrMany, Spanned, TextOr};

const PER_HOUR_MAX: u32 = 60;

/// The keys in which a kind's settings are written.
fn keys(kind: &ChannelKind) -> Vec<String> {
    let keys = kind.fields.iter().flat_map(|field| match field.form {
        FieldForm::Secret => vec![format!("{}_file", field.name), format!("{}_env", field.name)],
        FieldForm::Line
        | FieldForm::WebAddress
        | FieldForm::MailAddress
        | FieldForm::MailAddresses
        | FieldForm::MailServer
        | FieldForm::Contact => vec![field.name.to_owned()],
    });
    keys.collect()
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
        let Some(kind) = channel.kind.as_ref().map(|kind| kind.value.0) else {
            self.lacks(name, "kind", "kind = \"email\"");
            return None;
        };
        self.check_form(kind, channel);
        let settings = self.channel_settings(kind, name, channel, &allowed_networks)?;
        let (target, audience) = ((kind.target)(&settings), (kind.audience)(&settings));
        let spec = ChannelSpec::new(kind.name, target, audience, settings);
        let mut allowed_networks = allowed_networks;
        allowed_networks.extend(written_loopback(channel));
        Some(ChannelRule { name: name.value.clone(), spec, per_hour_max, allowed_networks })
    }

    fn check_form(&mut self, kind: &ChannelKind, channel: &raw::Channel) {
        let (kind_name, keys) = (kind.name, keys(kind));
        let takes = |key: &str| keys.iter().any(|known| known == key);
        for (key, place) in channel.written() {
            if takes(key) {
                continue;
            }
            let is_secret_url = key == "url" && takes("url_file");
            let (message, help) = if is_secret_url {
                let message = format!("the address of a {kind_name} webhook is a secret");
                (message, "put it into a file, and name that as `url_file`".to_owned())
            } else {
                let message = format!("a channel of kind {kind_name:?} takes no `{key}`");
                (message, format!("it takes {}", either(keys.iter().map(String::as_str))))
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

    /// What the kind takes, checked; nothing where something is missing that it cannot do without.
    fn channel_settings(
        &mut self,
        kind: &ChannelKind,
        name: &Spanned<String>,
        channel: &raw::Channel,
        networks: &[AddressRange],
    ) -> Option<ChannelSettings> {
        let mut settings = ChannelSettings::default();
        let mut is_complete = true;
        for field in kind.fields {
            let found = self.channel_setting(field, name, channel, networks, &mut settings);
            is_complete &= found.is_some() || field.need == Need::Optional;
        }
        is_complete.then_some(settings)
    }

    fn channel_setting(
        &mut self,
        field: &Field,
        name: &Spanned<String>,
        channel: &raw::Channel,
        networks: &[AddressRange],
        settings: &mut ChannelSettings,
    ) -> Option<()> {
        let setting = match field.form {
            FieldForm::Line => ChannelSetting::Text(self.line(name, field, channel)?),
            FieldForm::WebAddress => {
                ChannelSetting::Text(self.channel_url(name, field, channel, networks)?)
            }
            FieldForm::MailAddress => ChannelSetting::Text(self.sender(name, field, channel)?),
            FieldForm::MailAddresses => ChannelSetting::Texts(self.recipients(name, channel)),
            FieldForm::MailServer => {
                let (url, password) = self.smtp(name, field, channel)?;
                if let Some(password) = password {
                    settings.insert("password", ChannelSetting::Secret(password));
                }
                ChannelSetting::Text(url)
            }
            FieldForm::Contact => ChannelSetting::Text(self.contact(channel)?),
            FieldForm::Secret => ChannelSetting::Secret(self.channel_secret(name, field, channel)?),
        };
        settings.insert(field.name, setting);
        Some(())
    }

    /// Reports what a channel lacks, unless it was written in a way that could not be read.
    fn lacks(&mut self, name: &Spanned<String>, key: &str, example: &str) {
        if !self.is_lost(&["channel", &name.value, key]) {
            self.error(&name.place, format!("[channel.{}] needs `{key}`", name.value))
                .help(format!("write it as in {example}"));
        }
    }

    /// A text that a kind takes, as it is written.
    fn text<'c>(
        &mut self,
        name: &Spanned<String>,
        field: &Field,
        channel: &'c raw::Channel,
    ) -> Option<&'c Spanned<String>> {
        let setting = channel.text(field.name);
        if setting.is_none() && field.need == Need::Required {
            self.lacks(name, field.name, &format!("{} = {:?}", field.name, field.example));
        }
        setting
    }

    fn line(
        &mut self,
        name: &Spanned<String>,
        field: &Field,
        channel: &raw::Channel,
    ) -> Option<String> {
        let setting = self.text(name, field, channel)?;
        if setting.value.is_empty() || setting.value.chars().any(char::is_control) {
            let (key, example) = (field.name, field.example);
            self.error(&setting.place, format!("`{key}` is one line of text"))
                .help(format!("write it as in {key} = {example:?}"));
        }
        Some(setting.value.clone())
    }

    pub(super) fn secret(
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

    /// A secret of the channel, from its file or its environment variable.
    fn channel_secret(
        &mut self,
        name: &Spanned<String>,
        field: &Field,
        channel: &raw::Channel,
    ) -> Option<SecretSource> {
        let key = field.name;
        let variable = format!("{key}_env");
        let found = self.secret(channel.text(&format!("{key}_file")), channel.text(&variable));
        // An address that was written out is reported as that.
        if found.is_none()
            && field.need == Need::Required
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
        field: &Field,
        channel: &raw::Channel,
        networks: &[AddressRange],
    ) -> Option<String> {
        self.line(name, field, channel)?;
        let setting = channel.text(field.name)?;
        let url = match setting.value.parse::<Url>() {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            Ok(_) | Err(_) => {
                self.error(
                    &setting.place,
                    format!("{:?} is not an address of the web", setting.value),
                )
                .help(format!("write it as in {:?}", field.example));
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

    fn recipients(&mut self, name: &Spanned<String>, channel: &raw::Channel) -> Vec<String> {
        let to = channel.to.as_ref().map_or(&[][..], |to| &to.values);
        if to.is_empty() {
            self.lacks(name, "to", "to = [\"me@example.org\"]");
        }
        for address in to {
            self.check_mailbox(address);
        }
        to.iter().map(|to| to.value.clone()).collect()
    }

    fn sender(
        &mut self,
        name: &Spanned<String>,
        field: &Field,
        channel: &raw::Channel,
    ) -> Option<String> {
        let address = self.text(name, field, channel)?;
        self.check_mailbox(address);
        Some(address.value.clone())
    }

    fn check_mailbox(&mut self, address: &Spanned<String>) {
        if !is_mailbox(&address.value) {
            self.error(&address.place, format!("{:?} is not an email address", address.value))
                .help("write the address alone, as in \"me@example.org\"");
        }
    }

    fn smtp(
        &mut self,
        name: &Spanned<String>,
        field: &Field,
        channel: &raw::Channel,
    ) -> Option<(String, Option<SecretSource>)> {
        let example = format!(
            "smtp = {{ url = {:?}, password_file = \"/run/secrets/smtp\" }}",
            field.example
        );
        let Some(setting) = &channel.smtp else {
            self.lacks(name, field.name, &example);
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
            self.missing(&setting.place, "url", "`smtp` needs `url`", &example);
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

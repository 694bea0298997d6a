//! Where an API's requests go, and how long they may take.

use std::net::{IpAddr, SocketAddr};

use http::Uri;
use keystile_core::policy::api::UpstreamRule;
use keystile_core::time::Span;

use super::Resolver;
use super::gate::{DAY, HOUR};
use super::setting::flag;
use crate::config::raw;
use crate::config::suggest::closest;
use crate::config::value::Spanned;

const MONTH: Span = Span::from_secs(30 * 86_400);

impl Resolver<'_> {
    pub(super) fn upstream(
        &mut self,
        name: &Spanned<String>,
        api: &raw::Api,
        listen: &[SocketAddr],
    ) -> UpstreamRule {
        let origins = self.origins(name, api, listen);
        let is_all =
            |scheme| origins.iter().all(|origin: &Uri| origin.scheme_str() == Some(scheme));
        if let Some(http2) = api.http2.as_ref().filter(|http2| http2.value && is_all("https")) {
            self.warning(&http2.place, "over https HTTP/2 is negotiated anyway")
                .help("leave out `http2`");
        }
        if let Some(file) = api.trusted_certificates.as_ref().filter(|_| is_all("http")) {
            self.warning(&file.place, "no upstream of this API uses https")
                .help("leave out `trusted_certificates`");
        }
        let total_timeout =
            api.total_timeout.as_ref().map(|setting| self.span(Some(setting), MONTH, MONTH));
        UpstreamRule {
            http2_prior_knowledge: flag(api.http2.as_ref()),
            trusted_certificates: api
                .trusted_certificates
                .as_ref()
                .map(|file| self.pem(file, "certificate")),
            connect_timeout: self.span(api.connect_timeout.as_ref(), Span::from_secs(5), HOUR),
            first_byte_timeout: self.span(
                api.first_byte_timeout.as_ref(),
                Span::from_secs(60),
                DAY,
            ),
            total_timeout,
            keep_host: api.keep_host.as_ref().is_none_or(|setting| setting.value),
            forward_credential: flag(api.forward_key.as_ref()),
            origins,
        }
    }

    fn origins(
        &mut self,
        name: &Spanned<String>,
        api: &raw::Api,
        listen: &[SocketAddr],
    ) -> Vec<Uri> {
        let texts = api.upstream.as_ref().map_or(&[][..], |setting| &setting.values);
        if texts.is_empty() && !self.is_lost(&["api", &name.value, "upstream"]) {
            let place = api.upstream.as_ref().map_or(&name.place, |setting| &setting.place);
            self.error(place, format!("[api.{}] has no upstream", name.value))
                .help("say where its requests go, as in upstream = [\"http://127.0.0.1:7071\"]");
        }
        let mut origins = Vec::new();
        for text in texts {
            let Some(origin) = self.origin(text) else {
                continue;
            };
            if origins.contains(&origin) {
                self.warning(&text.place, format!("{:?} is listed twice", text.value))
                    .help("keep one of the two");
                continue;
            }
            if let Some(own) = listen.iter().find(|own| is_reached_by(&origin, **own)) {
                let message = format!(
                    "{:?} is the gate itself, which would call itself without end",
                    text.value
                );
                self.error(&text.place, message)
                    .help(format!("the gate listens on {own}; the API needs another port"));
            }
            origins.push(origin);
        }
        origins
    }

    fn origin(&mut self, text: &Spanned<String>) -> Option<Uri> {
        let value = text.value.trim();
        let Some((scheme, rest)) = value.split_once("://") else {
            let message = format!(
                "{value:?} is not an origin: write http:// or https://, a host, and a port where needed"
            );
            let guess = format!("http://{value}").parse::<Uri>().ok().filter(|_| !value.is_empty());
            let help = guess.map(|_| format!("did you mean \"http://{value}\"?"));
            self.error(&text.place, message).help_if(help);
            return None;
        };
        if !matches!(scheme, "http" | "https") {
            let place = self.word_in(text, scheme);
            let meant = closest(scheme, ["http", "https"]);
            self.error(
                &place,
                format!("an upstream is reached over http or https, not {scheme:?}"),
            )
            .help_if(meant.map(|meant| format!("did you mean \"{meant}://{rest}\"?")));
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let offset = text.value.len() - text.value.trim_start().len() + scheme.len() + "://".len();
        if let Some(at) = authority.rfind('@') {
            let place = self.within(text, offset..offset + at + 1);
            self.error(&place, "an upstream has no user name or password").help(
                "requests are forwarded with the credentials that the caller sends to the API",
            );
            return None;
        }
        if !matches!(path, "" | "/") {
            let place = self.within(text, offset + end..offset + rest.len());
            self.error(&place, "an upstream is an origin, without path or query").help(format!(
                "write \"{scheme}://{authority}\": the path of a request is forwarded as it is"
            ));
            return None;
        }
        let uri = format!("{scheme}://{authority}").parse::<Uri>().ok();
        let is_whole = |uri: &Uri| {
            let port = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
            uri.host().is_some_and(|host| !host.is_empty())
                && port.is_none_or(|_| uri.port_u16().is_some_and(|port| port > 0))
        };
        let uri = uri.filter(is_whole);
        if uri.is_none() {
            let place = self.within(text, offset..offset + authority.len());
            self.error(
                &place,
                format!("{authority:?} is not a host, or a host and a port from 1 to 65535"),
            );
        }
        uri
    }
}

/// Whether an origin leads to a listener of the gate.
fn is_reached_by(origin: &Uri, listen: SocketAddr) -> bool {
    let default = if origin.scheme_str() == Some("https") { 443 } else { 80 };
    let host = origin.host().unwrap_or_default().trim_matches(['[', ']']);
    let ip =
        if host == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { host.parse().ok() };
    let is_here =
        |ip: IpAddr| ip == listen.ip() || (listen.ip().is_unspecified() && ip.is_loopback());
    origin.port_u16().unwrap_or(default) == listen.port() && ip.is_some_and(is_here)
}

//! 3scale's backend.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use keystile_core::policy::PlanSpec;
use keystile_threescale::account::{MirrorRule, WriteRule};
use keystile_threescale::server::{BackendSettings, GatewaySettings, InternalUser, TlsFiles};

use super::Resolver;
use super::gate::conflict;
use super::setting::flag;
use crate::config::raw;
use crate::config::suggest::closest;
use crate::config::value::{OneOrMany, Spanned};

const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7090));
const SECRET_CHARS_MIN: usize = 16;

impl Resolver<'_> {
    pub(super) fn threescale_backend(
        &mut self,
        backend: &Spanned<raw::ThreescaleBackend>,
        taken: &[SocketAddr],
        plans: &[PlanSpec],
    ) -> BackendSettings {
        let raw::ThreescaleBackend {
            listen,
            tls,
            behind_proxy,
            internal,
            gateways,
            api,
            writes,
            plans: mapped,
            default_plan,
            threads,
        } = &backend.value;
        let address = listen.as_ref().and_then(|text| self.socket_address(text)).unwrap_or(LISTEN);
        let place = listen.as_ref().map_or(&backend.place, |setting| &setting.place);
        if taken.iter().any(|other| conflict(*other, address)) {
            let message = format!("{address} is taken by another listener already");
            self.error(place, message).help("change the port");
        }
        let tls = self.tls(tls.as_ref());
        let tls = tls.map(|files| TlsFiles { certificate: files.certificate, key: files.key });
        let is_lost = self.is_lost(&["threescale_backend", "tls"]);
        let is_guarded = tls.is_some() || flag(behind_proxy.as_ref()) || is_lost;
        if !address.ip().is_loopback() && !is_guarded {
            let message = format!(
                "{} can be reached by other machines, and keys would go over the network in the clear",
                address.ip()
            );
            self.error(place, message).help(
                "listen on \"127.0.0.1:7090\", or set `tls`, or `behind_proxy = true` where only a trusted network \
                 or a proxy with TLS reaches it",
            );
        }
        let internal = internal.as_ref().and_then(|user| self.internal_user(user));
        let gateways = gateways.as_ref().and_then(|gateways| self.gateways(gateways));
        let threads = self.number("threads", threads.as_ref(), 1..=64, 1_usize);
        let writes = self.write_rule(backend, api.as_ref(), writes.as_ref());
        let mirror = self.mirror(mapped, default_plan.as_ref(), plans);
        BackendSettings { listen: address, internal, gateways, writes, mirror, tls, threads }
    }

    fn mirror(
        &mut self,
        mapped: &BTreeMap<Spanned<String>, Spanned<String>>,
        default_plan: Option<&Spanned<String>>,
        plans: &[PlanSpec],
    ) -> Option<MirrorRule> {
        for plan in mapped.values().chain(default_plan) {
            self.check_key_plan(plan, plans);
        }
        let named = mapped.iter().map(|(there, here)| (there.value.clone(), here.value.clone()));
        let default_plan = default_plan.map(|plan| plan.value.clone());
        let rule = MirrorRule { plans: named.collect(), default_plan };
        (rule != MirrorRule::default()).then_some(rule)
    }

    fn write_rule(
        &mut self,
        backend: &Spanned<raw::ThreescaleBackend>,
        api: Option<&Spanned<String>>,
        writes: Option<&OneOrMany<String>>,
    ) -> Option<WriteRule> {
        let metrics: Vec<_> =
            writes.iter().flat_map(|writes| &writes.values).map(|one| one.value.clone()).collect();
        for metric in writes.iter().flat_map(|writes| &writes.values) {
            let is_name =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            if metric.value.is_empty() || !metric.value.bytes().all(is_name) {
                let message = format!("{:?} is not the system name of a metric", metric.value);
                self.error(&metric.place, message).help("write it as in writes = [\"post\"]");
            }
        }
        let Some(api) = api else {
            if let Some(writes) = writes.filter(|writes| !writes.values.is_empty()) {
                let message = "`writes` needs `api`: budgets count the writes of an API";
                self.error(&writes.place, message).help("add it, as in api = \"bookmarks\"");
            }
            return None;
        };
        if !self.names.contains_key(&api.value) {
            let meant = closest(&api.value, self.names.keys().map(String::as_str));
            let help = meant.map(|meant| format!("did you mean {meant:?}?"));
            let message = format!("there is no API named {:?}", api.value);
            self.error(&api.place, message).help_if(help);
        }
        if metrics.is_empty() {
            self.missing(&backend.place, "writes", "`api` needs `writes`", "writes = [\"post\"]");
        }
        Some(WriteRule { api: api.value.clone(), metrics })
    }

    fn internal_user(&mut self, user: &Spanned<raw::InternalUser>) -> Option<InternalUser> {
        let raw::InternalUser { user: name, password_file, remote } = &user.value;
        if name.is_none() {
            self.missing(&user.place, "user", "`internal` has no `user`", "user = \"internal\"");
        }
        let Some(file) = password_file else {
            let example = "password_file = \"internal-password\"";
            self.missing(
                &user.place,
                "password_file",
                "`internal` has no `password_file`",
                example,
            );
            return None;
        };
        let password = self.secret_in(file, "password")?;
        let user = name.as_ref()?.value.clone();
        if user.is_empty() || user.contains(':') {
            let place = name.as_ref().map(|name| name.place.clone())?;
            self.error(&place, "a user of HTTP Basic is not empty and holds no colon")
                .help("rename it");
        }
        Some(InternalUser { user, password, remote: flag(remote.as_ref()) })
    }
    fn gateways(&mut self, gateways: &Spanned<raw::Gateways>) -> Option<GatewaySettings> {
        let raw::Gateways { token_file, service_token_file, url } = &gateways.value;
        let mut secret = |key: &str, file: &Option<Spanned<String>>, name| {
            let Some(file) = file else {
                let message = format!("`gateways` has no `{key}`");
                self.missing(&gateways.place, key, &message, &format!("{key} = \"{name}\""));
                return None;
            };
            self.secret_in(file, "token")
        };
        let token = secret("token_file", token_file, "gateway-token");
        let service_token =
            secret("service_token_file", service_token_file, "gateway-service-token");
        let backend = url.as_ref().map(|setting| {
            if !is_root(&setting.value) {
                self.error(
                    &setting.place,
                    format!("{:?} is no address of a backend", setting.value),
                )
                .help("write it as in url = \"https://backend.example.org\"");
            }
            setting.value.trim_end_matches('/').to_owned()
        });
        Some(GatewaySettings { token: token?, service_token: service_token?, backend })
    }

    /// The secret that a file holds.
    fn secret_in(&mut self, file: &Spanned<String>, what: &str) -> Option<String> {
        let secret = match std::fs::read_to_string(self.base.join(&file.value)) {
            Ok(secret) => secret.trim_end_matches(['\r', '\n']).to_owned(),
            Err(error) => {
                self.error(&file.place, format!("{:?} cannot be read: {error}", file.value))
                    .help(format!("the file holds the {what} and nothing else"));
                return None;
            }
        };
        if secret.chars().count() < SECRET_CHARS_MIN {
            let message = format!("the {what} has fewer than {SECRET_CHARS_MIN} characters");
            self.error(&file.place, message).help("make one with `openssl rand -hex 32`");
        }
        Some(secret)
    }
}

/// Whether a text is `http` or `https`, a host and perhaps a port.
fn is_root(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && url.path() == "/"
            && url.query().is_none()
    })
}

//! APIs: which requests belong to them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use keystile_core::policy::api::{ApiSpec, Mode};

use super::Resolver;
use super::setting::flag;
use crate::config::raw;
use crate::config::value::Spanned;

const MIB: u64 = 1 << 20;
const COUNT_BYTES_MAX: u64 = 1 << 30;

impl Resolver<'_> {
    pub(super) fn apis(
        &mut self,
        apis: &BTreeMap<Spanned<String>, raw::Api>,
        listen: &[SocketAddr],
    ) -> Vec<ApiSpec> {
        if apis.is_empty() && !self.is_lost(&["api"]) {
            self.problem(None, "no API is guarded".to_owned())
                .help("add one, as in [api.bookmarks] with upstream = [\"http://127.0.0.1:7071\"]");
        }
        let mut specs = Vec::new();
        for (name, api) in apis {
            self.name("api", name);
            let path = self.path(api);
            self.names.insert(name.value.clone(), path.clone());
            specs.push((name, self.api(name, api, path, listen)));
        }
        self.check_apart(&specs);
        let mut specs: Vec<_> = specs.into_iter().map(|(_, spec)| spec).collect();
        // The policy asks APIs with equal paths in this order, and the closest host must come
        // first.
        let distance = |spec: &ApiSpec| {
            spec.hosts
                .iter()
                .filter(|host| host.starts_with('*'))
                .map(|host| usize::MAX - host.len())
                .max()
        };
        specs.sort_by_key(distance);
        specs
    }

    /// Names stand in rules, headers and file names.
    pub(super) fn name(&mut self, what: &str, name: &Spanned<String>) {
        let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let text = &name.value;
        let is_name =
            text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_name_char);
        if !is_name || text.len() > 64 {
            let kept: String =
                text.chars().map(|c| if is_name_char(c) { c } else { '-' }).collect();
            let kept = kept.trim_matches(['-', '_', '.']).chars().take(64).collect::<String>();
            let message =
                format!("{text:?} is not a name: write 1 to 64 letters, digits, `-`, `_` or `.`");
            self.error(&name.place, message).help_if(
                Some(kept)
                    .filter(|kept| !kept.is_empty())
                    .map(|kept| format!("did you mean [{what}.{kept}]?")),
            );
        }
    }

    fn api(
        &mut self,
        name: &Spanned<String>,
        api: &raw::Api,
        path: String,
        listen: &[SocketAddr],
    ) -> ApiSpec {
        ApiSpec {
            name: name.value.clone(),
            hosts: self.hosts(api),
            mode: match api.mode.as_ref().map(|mode| mode.value) {
                Some(raw::Mode::Off) => Mode::Off,
                Some(raw::Mode::Observe) => Mode::Observe,
                Some(raw::Mode::Enforce) | None => Mode::Enforce,
            },
            matrix_parameters: flag(api.matrix_parameters.as_ref()),
            credential: self.credential(api),
            body_bytes_max: api
                .body_max
                .as_ref()
                .and_then(|setting| self.bytes("body_max", setting)),
            count_bytes_max: self.count_bytes_max(api),
            upstream: self.upstream(name, api, listen),
            operations: self.operations(&api.operation, &path),
            path,
        }
    }

    fn count_bytes_max(&mut self, api: &raw::Api) -> usize {
        let setting = api.count_body_max.as_ref();
        let bytes =
            setting.and_then(|setting| self.bytes("count_body_max", setting)).unwrap_or(MIB);
        if let Some(setting) = setting
            && bytes > COUNT_BYTES_MAX
        {
            self.error(&setting.place, "a body this large cannot be held in memory to be counted")
                .help("write at most \"1 GiB\"");
        }
        usize::try_from(bytes.min(COUNT_BYTES_MAX)).expect("1 GiB is within every address space")
    }

    /// The prefix as requests must write it, without a trailing slash.
    fn path(&mut self, api: &raw::Api) -> String {
        let Some(setting) = &api.path else {
            return String::new();
        };
        let text = setting.value.as_str();
        let prefix = text.trim_end_matches('/');
        let is_segment = |segment: &str| {
            let is_char = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()+,=:@".contains(c);
            !matches!(segment, "" | "." | "..") && segment.chars().all(is_char)
        };
        let is_prefix = prefix.is_empty()
            || prefix.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment));
        if !is_prefix || text.is_empty() {
            let bare = prefix.trim_end_matches('*').trim_matches('/');
            let message = format!(
                "{text:?} is not a path prefix: write it from `/`, without wildcards, query or escapes"
            );
            let is_near = !bare.is_empty() && bare.split('/').all(is_segment);
            self.error(&setting.place, message)
                .help_if(is_near.then(|| format!("did you mean \"/{bare}\"?")));
        }
        prefix.to_owned()
    }

    fn hosts(&mut self, api: &raw::Api) -> Vec<String> {
        let mut hosts = Vec::new();
        for text in api.hosts.iter().flat_map(|setting| &setting.values) {
            let host = shortest(text.value.trim_end_matches('.').to_ascii_lowercase());
            if !is_host(&host) {
                let bare = host.rsplit_once("://").map_or(host.as_str(), |(_, rest)| rest);
                let bare = bare.split(['/', ':']).next().unwrap_or_default();
                let help = if host == "*" {
                    Some("leave out `hosts`: an API without it has every host".to_owned())
                } else {
                    is_host(bare).then(|| format!("did you mean {bare:?}?"))
                };
                let message = format!(
                    "{:?} is not a host name: write it without scheme, port and path",
                    text.value
                );
                self.error(&text.place, message).help_if(help);
            } else if hosts.contains(&host) {
                self.warning(&text.place, format!("{host:?} is listed twice"))
                    .help("keep one of the two");
            } else {
                hosts.push(host);
            }
        }
        hosts
    }

    /// Two APIs with a host and path in common: one of them would never be asked.
    fn check_apart(&mut self, specs: &[(&Spanned<String>, ApiSpec)]) {
        for (index, (name, spec)) in specs.iter().enumerate() {
            let shared = |other: &ApiSpec| {
                // A path that differs only in case would belong to neither.
                other.path.eq_ignore_ascii_case(&spec.path)
                    && if spec.hosts.is_empty() {
                        other.hosts.is_empty()
                    } else {
                        spec.hosts.iter().any(|host| other.hosts.contains(host))
                    }
            };
            let Some((_, other)) = specs[..index].iter().find(|(_, other)| shared(other)) else {
                continue;
            };
            let path = if spec.path.is_empty() { "/" } else { &spec.path };
            let message = format!(
                "[api.{}] and [api.{}] have a host and the path {path:?} in common",
                other.name, spec.name
            );
            self.error(&name.place, message).help("tell them apart with `hosts` or `path`");
        }
    }
}

/// An address in the form that hosts are compared in.
fn shortest(host: String) -> String {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed.and_then(|address| address.parse::<std::net::Ipv6Addr>().ok()) {
        Some(address) => format!("[{address}]"),
        None => host,
    }
}

/// A name, a name below which all are meant, or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bracketed {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

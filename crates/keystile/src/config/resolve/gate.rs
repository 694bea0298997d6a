//! The listeners: gate and console.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;

use http::Method;
use keystile_core::budget::{Quota, Window};
use keystile_core::request::address::AddressRange;
use keystile_core::time::Span;
use keystile_proxy::settings::GateSettings;
use keystile_web::Access;

use super::Resolver;
use super::setting::flag;
use crate::config::raw;
use crate::config::resolved::ConsoleSettings;
use crate::config::value::Spanned;

pub(super) const HOUR: Span = Span::from_secs(3600);
pub(super) const DAY: Span = Span::from_secs(86_400);

const BUFFERS_DEFAULT: u64 = 36 << 20;
const BUFFERS: std::ops::RangeInclusive<u64> = 1 << 20..=64 << 30;

const GATE_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);
const CONSOLE_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), crate::config::CONSOLE_PORT);

/// The methods that pass without being listed.
const METHODS: [&str; 8] = ["GET", "HEAD", "OPTIONS", "QUERY", "POST", "PUT", "PATCH", "DELETE"];

impl Resolver<'_> {
    pub(super) fn gate(&mut self, gate: &raw::Gate) -> GateSettings {
        let workers = self.number("workers", gate.workers.as_ref(), 1..=1024, 0_usize);
        let connections = |resolver: &mut Self, key, setting: Option<&Spanned<i64>>, default| {
            resolver.number(key, setting, 1..=1_000_000, default)
        };
        GateSettings {
            listen: self.listen(gate),
            tls: self.tls(gate.tls.as_ref()),
            workers: NonZeroUsize::new(workers),
            methods: self.gate_methods(gate),
            trusted_proxies: self.trusted_proxies(gate),
            head_timeout: self.span(gate.head_timeout.as_ref(), Span::from_secs(10), HOUR),
            idle_timeout: self.span(gate.idle_timeout.as_ref(), Span::from_secs(30), DAY),
            body_rate_min: self.number(
                "body_rate_min",
                gate.body_rate_min.as_ref(),
                0..=i64::from(u32::MAX),
                240,
            ),
            drain_timeout: self.span(gate.drain_timeout.as_ref(), Span::from_secs(10), HOUR),
            connections_max: connections(
                self,
                "connections_max",
                gate.connections_max.as_ref(),
                10_000,
            ),
            connections_per_address: connections(
                self,
                "connections_per_address",
                gate.connections_per_address.as_ref(),
                1_000,
            ),
            buffers_max: self.buffers_max(gate),
            key_failures: gate
                .key_failures
                .as_ref()
                .and_then(|setting| self.rate(setting))
                .unwrap_or(Quota { amount: 300, window: Window::Rolling(Span::from_secs(60)) }),
        }
    }

    fn buffers_max(&mut self, gate: &raw::Gate) -> usize {
        let setting = gate.buffers_max.as_ref();
        let bytes = setting.and_then(|setting| self.bytes("buffers_max", setting));
        let bytes = bytes.unwrap_or(BUFFERS_DEFAULT);
        if let Some(setting) = setting
            && !BUFFERS.contains(&bytes)
        {
            self.error(&setting.place, "the gate cannot work with buffers of this size")
                .help("write at least \"1 MiB\" and at most \"64 GiB\"");
        }
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn listen(&mut self, gate: &raw::Gate) -> Vec<SocketAddr> {
        let Some(setting) = &gate.listen else {
            return vec![GATE_LISTEN];
        };
        if setting.values.is_empty() && !self.is_lost(&["gate", "listen"]) {
            self.error(&setting.place, "the gate listens nowhere")
                .help(format!("write \"{GATE_LISTEN}\""));
        }
        let mut addresses = Vec::new();
        for text in &setting.values {
            let Some(address) = self.socket_address(text) else {
                continue;
            };
            if let Some(other) = addresses.iter().find(|other| conflict(**other, address)) {
                let message = format!("{address} is taken by {other} already");
                self.error(&text.place, message).help("leave it out, or change the port");
            }
            addresses.push(address);
        }
        addresses
    }

    pub(super) fn socket_address(&mut self, text: &Spanned<String>) -> Option<SocketAddr> {
        if let Ok(address) = text.value.parse() {
            return Some(address);
        }
        let message = format!(
            "{:?} is not an address to listen on: write an IP address and a port",
            text.value
        );
        let guess = guessed_address(&text.value);
        self.error(&text.place, message)
            .help_if(guess.map(|guess| format!("did you mean \"{guess}\"?")));
        None
    }

    pub(super) fn console(
        &mut self,
        console: &raw::Console,
        gate: &raw::Gate,
        gate_listen: &[SocketAddr],
    ) -> ConsoleSettings {
        let listen = console
            .listen
            .as_ref()
            .and_then(|text| self.socket_address(text))
            .unwrap_or(CONSOLE_LISTEN);
        let tls = self.tls(console.tls.as_ref());
        let behind_proxy = flag(console.behind_proxy.as_ref());
        let taken = gate_listen.iter().position(|address| conflict(*address, listen));
        if let Some(place) = taken {
            let at_gate = gate.listen.as_ref().and_then(|setting| setting.values.get(place));
            let place = console.listen.as_ref().or(at_gate).map(|setting| setting.place.clone());
            let message = format!("gate and console cannot both listen on {listen}");
            let port =
                if listen.port() == CONSOLE_LISTEN.port() { 7081 } else { CONSOLE_LISTEN.port() };
            let help = format!("give [console] another port, as in listen = \"127.0.0.1:{port}\"");
            self.problem(place, message).help(help);
        }
        let is_guarded = tls.is_some() || behind_proxy || self.is_lost(&["console"]);
        if let Some(setting) = &console.listen
            && !listen.ip().is_loopback()
            && !is_guarded
        {
            let message = format!(
                "{} can be reached by other machines, and the console would go over the network in the clear",
                listen.ip(),
            );
            self.error(&setting.place, message).help(format!(
                "listen on \"127.0.0.1:{}\", or set `tls`, or `behind_proxy = true` where a proxy with TLS stands in front",
                listen.port(),
            ));
        }
        let public_url = console.url.as_ref().and_then(|url| self.console_url(url));
        let (health, metrics) = (access(console.health.as_ref()), access(console.metrics.as_ref()));
        ConsoleSettings { listen, tls, behind_proxy, public_url, health, metrics }
    }

    /// Browsers make passkeys only for host names, and only over HTTPS or on the machine itself.
    fn console_url(&mut self, text: &Spanned<String>) -> Option<String> {
        let url = text.value.trim_end_matches('/');
        let parsed = url.parse::<http::Uri>().ok();
        let scheme = parsed.as_ref().and_then(http::Uri::scheme_str);
        let host = parsed.as_ref().and_then(http::Uri::host).unwrap_or_default();
        let is_origin = parsed.as_ref().is_some_and(|parsed| {
            matches!(scheme, Some("http" | "https"))
                && parsed.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && matches!(parsed.path(), "" | "/")
                && parsed.query().is_none()
                && !url.contains('#')
        });
        let problem = if !is_origin {
            "is not where a console is: write a scheme and a host name, without a path"
        } else if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            "has an address in the place of a host name, and passkeys belong to a name"
        } else if scheme == Some("http") && host != "localhost" && !host.ends_with(".localhost") {
            "would go over the network in the clear, and browsers make no passkeys there"
        } else {
            return Some(url.to_owned());
        };
        self.error(&text.place, format!("{:?} {problem}", text.value))
            .help("write it as in url = \"https://console.example.org\"");
        None
    }

    /// The methods that pass besides the usual ones.
    fn gate_methods(&mut self, gate: &raw::Gate) -> Vec<Method> {
        let mut methods = Vec::new();
        self.methods = METHODS.iter().filter_map(|name| name.parse().ok()).collect();
        for name in gate.methods.iter().flat_map(|setting| &setting.values) {
            let is_form = !name.value.is_empty()
                && name.value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
            match name.value.parse::<Method>() {
                Ok(Method::TRACE | Method::CONNECT) => {
                    let message = format!(
                        "{} never passes: it could read or tunnel what the gate protects",
                        name.value
                    );
                    self.error(&name.place, message).help("leave it out");
                }
                Ok(method) if is_form => {
                    if self.methods.contains(&method) {
                        self.warning(&name.place, format!("{method} passes anyway"))
                            .help("leave it out");
                    } else {
                        self.methods.push(method.clone());
                        methods.push(method);
                    }
                }
                Ok(_) | Err(_) => {
                    let message = format!("{:?} is not an upper-case HTTP method", name.value);
                    let upper = name.value.trim().to_ascii_uppercase();
                    let is_word =
                        !upper.is_empty() && upper.bytes().all(|byte| byte.is_ascii_uppercase());
                    let help = is_word.then(|| format!("write {upper:?}"));
                    self.error(&name.place, message).help_if(help);
                }
            }
        }
        methods
    }

    fn trusted_proxies(&mut self, gate: &raw::Gate) -> Vec<AddressRange> {
        let mut ranges = Vec::new();
        for text in gate.trusted_proxies.iter().flat_map(|setting| &setting.values) {
            match text.value.parse() {
                Ok(range) => ranges.push(range),
                Err(error) => {
                    self.error(&text.place, format!("{error}"));
                }
            }
        }
        ranges
    }
}

fn access(setting: Option<&Spanned<raw::Access>>) -> Access {
    match setting.map(|setting| setting.value) {
        Some(raw::Access::Open) | None => Access::Open,
        Some(raw::Access::Token) => Access::Token,
        Some(raw::Access::Off) => Access::Off,
    }
}

/// Whether one listener keeps another from being opened. Port 0 is any free one.
pub(super) fn conflict(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    let is_shared =
        a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()));
    one.port() == other.port() && one.port() != 0 && is_shared
}

fn guessed_address(text: &str) -> Option<SocketAddr> {
    let text = text
        .trim()
        .trim_start_matches("http://")
        .trim_start_matches("https://")
        .trim_end_matches('/');
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return Some((ip, GATE_LISTEN.port()).into());
    }
    if let Ok(port) = text.trim_start_matches([':', '*']).parse::<u16>() {
        let ip =
            if text.starts_with([':', '*']) { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        return Some((ip, port).into());
    }
    let text = text.replace("localhost", "127.0.0.1");
    let with_port = || format!("{text}:{}", GATE_LISTEN.port()).parse().ok();
    text.parse().ok().or_else(with_port)
}

//! What the engine takes from a configuration.

use std::net::SocketAddr;

use keystile_engine::EngineSettings;
use keystile_proxy::settings::TlsFiles;

use crate::config::Configuration;

/// What the engine takes from a configuration.
pub fn engine_settings(configuration: &Configuration) -> EngineSettings {
    EngineSettings {
        key_prefix: configuration.keys.clone(),
        retention: configuration.journal.retention,
        key_failures: configuration.gate.key_failures,
        console_url: configuration.console.url(configuration.console.listen),
        gate: gate_names(&configuration.gate.listen, configuration.gate.tls.as_ref()),
        watching: configuration.watching.clone(),
    }
}

/// What callers use to reach a gate: its addresses, with a scheme where that is not plain HTTP.
pub(super) fn gate_names(addresses: &[SocketAddr], tls: Option<&TlsFiles>) -> Vec<String> {
    let name = |address: &SocketAddr| match tls {
        Some(_) => format!("https://{address}"),
        None => address.to_string(),
    };
    addresses.iter().map(name).collect()
}

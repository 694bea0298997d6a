//! The log: for people on a terminal, one JSON object a line elsewhere. `KEYSTILE_LOG` sets what is said.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Begins to log to standard error, at the `usual` level where the environment names none.
pub fn begin(usual: &str) {
    let filter = EnvFilter::try_from_env("KEYSTILE_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second log in one process, as in tests, is left as it is.
    let _ = if std::io::stderr().is_terminal() {
        log.with_target(false).compact().try_init()
    } else {
        log.json().flatten_event(true).try_init()
    };
}

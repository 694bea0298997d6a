//! `keystile run`: a server from a configuration file, or from nothing but an upstream.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use keystile_core::owners::principal::Principal;
use keystile_core::policy::api::Mode;
use keystile_engine::Engine;
use keystile_engine::findings::{FindingLevel, ListChannelFindings};
use keystile_engine::keys::create::CreateKeys;
use keystile_engine::owners::claim::ClaimLink;
use keystile_web::Access;
use tokio::io::AsyncWriteExt as _;

use crate::cli::arguments::RunArguments;
use crate::config::{self, Addresses, Colors, Configuration, ConsoleSettings, Diagnostic, Report};
use crate::server::{Server, Signals};
use crate::{account, reach};

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration has mistakes.
    #[error("{}", .0.render(100, Colors::Off))]
    Configuration(Box<Report>),
    /// There is neither a file nor an upstream.
    #[error("there is no keystile.toml here, and no --upstream")]
    Nothing,
}

/// What a command line asks to run, and the file that a reload reads.
pub fn configuration(
    arguments: &RunArguments,
) -> Result<(Configuration, Option<PathBuf>), RunError> {
    let target = arguments.target();
    let mistakes = |report| RunError::Configuration(Box::new(report));
    let mode = if arguments.observe { Mode::Observe } else { Mode::Enforce };
    let addresses = Addresses { listen: arguments.listen.clone(), console: arguments.console };
    let (mut configuration, file) = match (&arguments.upstream, &target.config) {
        (Some(upstream), _) => {
            let data = target.data.clone().unwrap_or_else(|| PathBuf::from("keystile-data"));
            (config::for_upstream(upstream, &addresses, mode, data).map_err(mistakes)?, None)
        }
        (None, Some(file)) => {
            (config::load_with(file, &addresses).map_err(mistakes)?, Some(file.clone()))
        }
        (None, None) => return Err(RunError::Nothing),
    };
    if let Some(data) = target.data {
        configuration.data = data;
    }
    if arguments.observe {
        configuration = configuration.observing();
    }
    Ok((configuration, file))
}

/// How long the greeting may take, where whoever reads it does not.
const GREETING_WAIT: Duration = Duration::from_secs(1);

/// Runs a server until it is told to stop, or something in it ends that should not.
pub async fn run(
    configuration: Configuration,
    file: Option<PathBuf>,
    arguments: &RunArguments,
) -> anyhow::Result<()> {
    let has_tls = configuration.gate.tls.is_some();
    let console = configuration.console.clone();
    let data = configuration.data.clone();
    let warnings = configuration.warnings.clone();
    let backend_has_tls = configuration.threescale_backend.as_ref().map(|one| one.tls.is_some());
    let signals = Signals::listen()?;
    let server = Server::start(configuration, file).await?;
    let scheme = if has_tls { "https" } else { "http" };
    let gate: Vec<_> =
        server.gate().iter().map(|address| format!("{scheme}://{address}")).collect();
    let mut greeting =
        greeting(&server, (&gate, &console), (&data, backend_has_tls), &warnings, arguments);
    if server.engine().store().keys().is_empty() {
        match first_key(&server, arguments).await {
            Ok(said) => greeting += &said,
            Err(error) => tracing::warn!(%error, "no first key"),
        }
    }
    greeting += &first_owner(&server).await;
    // Callers depend on the server, not on who reads its greeting.
    if let Err(error) = print(&greeting, GREETING_WAIT).await {
        tracing::warn!(%error, "the greeting could not be written; the server goes on");
    }
    // After the greeting, because an upstream may take its time.
    tokio::spawn(say_faults(server.engine().clone()));
    Ok(server.until_signalled(signals).await?)
}

/// Says what does not work though the server does, because nobody hears of it otherwise.
async fn say_faults(engine: Arc<Engine>) {
    let findings =
        engine.execute(&Principal::System, ListChannelFindings).await.unwrap_or_else(|error| {
            tracing::warn!(error = %error.message, "channels could not be looked at");
            Vec::new()
        });
    let channels = findings
        .into_iter()
        .filter(|finding| finding.level == FindingLevel::Problem)
        .map(|finding| format!("the channel {}", finding.message));
    let reached = tokio::task::spawn_blocking(move || reach::unreachable(&engine.policy())).await;
    let unreachable = reached.unwrap_or_else(|error| {
        tracing::warn!(%error, "upstreams could not be looked at");
        Vec::new()
    });
    let upstreams = unreachable.into_iter().map(|upstream| {
        format!(
            "the upstream {} of {} cannot be reached: {}; calls are answered with 502 until it can",
            upstream.origin, upstream.api, upstream.fault
        )
    });
    let faults: Vec<String> = channels.chain(upstreams).collect();
    for fault in &faults {
        tracing::warn!("{fault}");
    }
    let text: String = faults.iter().map(|fault| format!("Warning  {fault}\n")).collect();
    // Who does not read it finds it in the log.
    let _ = print(&text, GREETING_WAIT).await;
}

/// Writes to standard output, and waits so long for whoever reads it.
pub(crate) async fn print(text: &str, wait: Duration) -> std::io::Result<()> {
    let mut stdout = tokio::io::stdout();
    let printed = async {
        stdout.write_all(text.as_bytes()).await?;
        stdout.flush().await
    };
    let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "nobody reads it");
    tokio::time::timeout(wait, printed).await.map_err(late)?
}

fn greeting(
    server: &Server,
    (gate, console): (&[String], &ConsoleSettings),
    (data, backend_has_tls): (&Path, Option<bool>),
    warnings: &[Diagnostic],
    arguments: &RunArguments,
) -> String {
    let mut text = String::new();
    let backend = server.backend().zip(backend_has_tls);
    for warning in warnings {
        text += &format!("{}\n", warning.render(100, Colors::Off));
    }
    text += &format!("Gate     {}\n", gate.join("  "));
    for api in server.engine().policy().apis() {
        let origins: Vec<_> = api.spec().upstream.origins.iter().map(ToString::to_string).collect();
        text += &format!("         {} -> {}\n", api.name(), origins.join(", "));
    }
    text += &format!("Console  {}\n", server.engine().console_url());
    let scheme = if console.tls.is_some() { "https" } else { "http" };
    let at = format!("{scheme}://{}", server.console());
    text += &match (console.health, console.metrics) {
        (Access::Off, Access::Off) => String::new(),
        (Access::Off, _) => format!("Metrics  {at}/metrics\n"),
        (_, Access::Off) => format!("Health   {at}/readyz\n"),
        (_, _) => format!("Health   {at}/readyz  (and /metrics)\n"),
    };
    if let Some((address, has_tls)) = backend {
        let scheme = if has_tls { "https" } else { "http" };
        text += &format!("Backend  {scheme}://{address}  (3scale's)\n");
    }
    text += &format!("Data     {}\n", data.display());
    if arguments.observe {
        text += "Observe  nothing is refused; `keystile journal list` says what would have been\n";
    }
    text
}

/// While there is no owner, a link for one is made at each start; once there is, its file has no use.
async fn first_owner(server: &Server) -> String {
    match server.link_without_owner(&account::of_process()).await {
        Ok(None) => String::new(),
        Ok(Some(ClaimLink { url, expires, .. })) => format!(
            "\nNo owner yet. Whoever opens this becomes one, once, until {}:\n\n    {url}\n\n",
            expires.readable()
        ),
        Err(failure) => {
            tracing::warn!(problem = %failure, "no link for an owner could be made");
            String::new()
        }
    }
}

/// Without a file there is one plan, so the first key can be issued at once.
async fn first_key(server: &Server, arguments: &RunArguments) -> anyhow::Result<String> {
    if arguments.upstream.is_none() {
        let text = "No key yet. Issue one: keystile key create --application NAME --plan PLAN";
        return Ok(format!("\n{text}\n"));
    }
    let command =
        CreateKeys { application: "first".to_owned(), plan: Some("open".to_owned()), count: 1 };
    let issued = server.engine().execute(&account::of_process(), command).await;
    let keys = issued.context("the first key could not be issued")?;
    Ok(keys.first().map_or_else(String::new, |key| {
        let line = key.example.as_ref();
        let line = line.map_or_else(String::new, |line| format!("Try it:\n\n    {line}\n\n"));
        format!("\nThe first key, shown only now:\n\n    {}\n\n{line}", key.key)
    }))
}

/// Writes the first configuration file; never over another without `force`.
pub fn init(file: &Path, overwrite: Overwrite) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    match overwrite {
        Overwrite::Never => options.create_new(true),
        Overwrite::Yes => options.create(true).truncate(true),
    };
    let mut opened =
        options.open(file).with_context(|| format!("{} cannot be written", file.display()))?;
    opened.write_all(config::INITIAL_FILE.as_bytes())?;
    Ok(())
}

/// Whether a file that exists may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It may not.
    Never,
    /// The owner said so.
    Yes,
}

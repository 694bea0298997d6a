//! `keystile run`: a server from a configuration file, or from nothing but an upstream.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use keystile_core::api::Mode;
use keystile_core::lock::Actor;
use keystile_engine::command::{Answer, ClaimLink, Command};

use crate::cli::arguments::RunArguments;
use crate::config::{self, Colors, Configuration, Diagnostic, Report};
use crate::control;
use crate::server::{Server, Signals};

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
    let (mut configuration, file) = match (&arguments.upstream, &target.config) {
        (Some(upstream), _) => {
            let data = target.data.clone().unwrap_or_else(|| PathBuf::from("keystile-data"));
            let listen = arguments.listen.first().copied();
            (config::for_upstream(upstream, listen, mode, data).map_err(mistakes)?, None)
        }
        (None, Some(file)) => (config::load(file).map_err(mistakes)?, Some(file.clone())),
        (None, None) => return Err(RunError::Nothing),
    };
    if let Some(data) = target.data {
        configuration.data = data;
    }
    if !arguments.listen.is_empty() {
        configuration.gate.listen.clone_from(&arguments.listen);
    }
    if let Some(console) = arguments.console {
        configuration.console.listen = console;
    }
    if arguments.observe {
        configuration = configuration.observing();
    }
    Ok((configuration, file))
}

/// Runs a server until it is told to stop. Talk goes to `talk`.
pub async fn run(
    configuration: Configuration,
    file: Option<PathBuf>,
    arguments: &RunArguments,
    talk: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let has_tls = configuration.gate.tls.is_some();
    let data = configuration.data.clone();
    let warnings = configuration.warnings.clone();
    let signals = Signals::listen()?;
    let server = Server::start(configuration, file).await?;
    let scheme = if has_tls { "https" } else { "http" };
    let gate: Vec<_> =
        server.gate().iter().map(|address| format!("{scheme}://{address}")).collect();
    let said = greet(&server, &gate, &data, &warnings, arguments, talk);
    let said = match (said, gate.first()) {
        (Ok(()), Some(gate)) if server.engine().store().keys().is_empty() => {
            first_key(&server, arguments, gate, talk).await?
        }
        (said, _) => said,
    };
    let said = match said {
        Ok(()) => first_owner(&server, talk).await,
        failed => failed,
    };
    // Callers depend on the server, not on who reads its greeting.
    if let Err(error) = said.and_then(|()| talk.flush()) {
        tracing::warn!(%error, "the greeting could not be written; the server goes on");
    }
    server.until_signalled(signals).await;
    Ok(())
}

fn greet(
    server: &Server,
    gate: &[String],
    data: &Path,
    warnings: &[Diagnostic],
    arguments: &RunArguments,
    talk: &mut (dyn Write + Send),
) -> std::io::Result<()> {
    for warning in warnings {
        writeln!(talk, "{}", warning.render(100, Colors::Off))?;
    }
    writeln!(talk, "Gate     {}", gate.join("  "))?;
    for api in server.engine().policy().apis() {
        let origins: Vec<_> = api.spec().upstream.origins.iter().map(ToString::to_string).collect();
        writeln!(talk, "         {} -> {}", api.name(), origins.join(", "))?;
    }
    writeln!(talk, "Console  {}", server.engine().console_url())?;
    writeln!(talk, "Health   http://{}/readyz  (and /metrics)", server.console())?;
    writeln!(talk, "Data     {}", data.display())?;
    if arguments.observe {
        writeln!(
            talk,
            "Observe  nothing is refused; `keystile journal list` says what would have been"
        )?;
    }
    Ok(())
}

/// While there is no owner, a link for one is made at each start; once there is, its file has no use.
async fn first_owner(server: &Server, talk: &mut (dyn Write + Send)) -> std::io::Result<()> {
    let link = match server.link_without_owner(Actor::CommandLine(control::login())).await {
        Ok(None) => return Ok(()),
        Ok(Some(link)) => link,
        Err(failure) => {
            tracing::warn!(problem = %failure, "no link for an owner could be made");
            return Ok(());
        }
    };
    let ClaimLink { url, expires, .. } = link;
    writeln!(
        talk,
        "\nNo owner yet. Whoever opens this becomes one, once, until {expires}:\n\n    {url}\n"
    )
}

/// Without a file there is one plan, so the first key can be issued at once. Says whether it could be
/// shown.
async fn first_key(
    server: &Server,
    arguments: &RunArguments,
    gate: &str,
    talk: &mut (dyn Write + Send),
) -> anyhow::Result<std::io::Result<()>> {
    if arguments.upstream.is_none() {
        let text = "No key yet. Issue one: keystile key create --application NAME --plan PLAN";
        return Ok(writeln!(talk, "\n{text}"));
    }
    let command = Command::CreateKeys {
        application: "first".to_owned(),
        plan: Some("open".to_owned()),
        count: 1,
    };
    let answer = server.engine().execute(command, Actor::CommandLine(control::login())).await;
    let Answer::NewKeys(keys) = answer else {
        anyhow::bail!("the first key could not be issued: {answer:?}");
    };
    let Some(key) = keys.first() else { return Ok(Ok(())) };
    let shown = writeln!(talk, "\nThe first key, shown only now:\n\n    {}\n", key.key);
    Ok(shown.and_then(|()| {
        writeln!(talk, "Try it:\n\n    curl -i -H 'X-API-Key: {}' {gate}/\n", key.key)
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

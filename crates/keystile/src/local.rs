//! Carrying a command out: by the server that holds the data directory, or on the store itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use keystile_core::budget::Quota;
use keystile_core::keys::text::KeyPrefix;
use keystile_core::policy::Policy;
use keystile_engine::command::wire::WireCommand;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::{Engine, EngineSettings};
use keystile_store::Store;
use keystile_store::error::Error as StoreError;
use keystile_store::files::DataDirectory;
use keystile_threescale::drive::settings::DriveSettings;
use keystile_threescale::server::BackendSettings;

use crate::backend::Backend;
use crate::cli::Target;
use crate::config::{self, Colors, Configuration};
use crate::exchange::{Answer, Answerer};
use crate::{account, control, key_sources, probe, server};

/// How long a command waits for a server that is starting or stopping.
const ANSWER_WAIT: Duration = Duration::from_secs(15);

/// What is done when no server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WithoutServer {
    /// The store is opened, and held until the command ends.
    Open,
    /// The command ends.
    Fail,
}

/// The way to the engine of a data directory.
#[derive(Debug)]
pub struct Local {
    data: PathBuf,
    configuration: Option<Configuration>,
    /// Opened with the first command that no server takes.
    engine: Option<Arc<Engine>>,
    /// What the configuration says of them, until an engine has them.
    key_sources: Vec<DriveSettings>,
    /// What it says of 3scale's backend, whose account is read only where a command is for it.
    backend: Option<BackendSettings>,
    without_server: WithoutServer,
    /// Whether the owner said that a store may be made.
    may_create: bool,
    runtime: tokio::runtime::Runtime,
}

impl Local {
    /// The data directory of a target.
    pub fn data_of(target: &Target) -> Result<PathBuf, Failure> {
        Ok(Self::of(target)?.data.clone())
    }

    /// Finds the data directory of a target. Only a file that is named is read.
    ///
    /// A file with mistakes is no obstacle while a server runs: that has its policy, and its owner may
    /// have to lock a key just now.
    pub fn of(target: &Target) -> Result<Self, Failure> {
        let (configuration, configured) =
            match target.config.as_deref().map(|file| (file, config::load(file))) {
                None => (None, None),
                Some((_, Ok(configuration))) => {
                    let data = configuration.data.clone();
                    (Some(configuration), Some(data))
                }
                Some((file, Err(report))) => {
                    let data = target.data.clone().or_else(|| config::data_of(file));
                    if !data.as_deref().is_some_and(control::is_served) {
                        return Err(Failure {
                            kind: FailureKind::Invalid,
                            message: format!(
                                "the configuration has mistakes\n\n{}",
                                report.render(100, Colors::Off)
                            ),
                            help: Some("mend them, or give only --data DIR".to_owned()),
                        });
                    }
                    (None, data)
                }
            };
        let data =
            target.data.clone().or(configured).unwrap_or_else(|| PathBuf::from("keystile-data"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(
            |error| Failure {
                kind: FailureKind::Invalid,
                message: format!("the program cannot start its runtime: {error}"),
                help: None,
            },
        )?;
        Ok(Self {
            data,
            configuration,
            engine: None,
            key_sources: Vec::new(),
            backend: None,
            without_server: WithoutServer::Open,
            may_create: false,
            runtime,
        })
    }

    /// Goes on without commits that are missing; says what they were.
    pub fn accept_loss(target: &Target) -> Result<Option<String>, Failure> {
        let data = Self::data_of(target)?;
        probe::disk_of(&data)?;
        if !holds_store(&data)? {
            return Err(nothing_there(&data, ""));
        }
        let directory = DataDirectory::hold(&data)?;
        // Looked at only now: a server that just begins a store holds the directory.
        if is_all_empty(&data) {
            return Err(nothing_begun(&data));
        }
        Ok(keystile_store::files::loss::accept(directory, &account::of_process().actor())?)
    }

    /// For an owner who says that a store may be made where there is none.
    #[must_use]
    pub fn creating(mut self, may_create: bool) -> Self {
        self.may_create = may_create;
        self
    }

    /// For a command that goes on for long: were it to hold the store, no server could start.
    #[must_use]
    pub fn only_with_server(mut self) -> Self {
        self.without_server = WithoutServer::Fail;
        self
    }

    /// Carries out a command.
    pub fn send(&mut self, command: &WireCommand) -> Result<Answer, Failure> {
        if self.engine.is_none()
            && let Some(answer) = control::send(&self.data, command)
        {
            return answer;
        }
        if self.without_server == WithoutServer::Fail {
            return Err(Failure {
                kind: FailureKind::Invalid,
                message: format!(
                    "no server is running on {}, so nothing comes",
                    self.data.display()
                ),
                help: Some(
                    "start one: keystile run\nor look at what is on record: keystile journal list"
                        .to_owned(),
                ),
            });
        }
        let engine = if let Some(engine) = &self.engine {
            engine.clone()
        } else {
            let creates = creates_something(command);
            let may_create = self.may_create && creates;
            if !may_create && !holds_store(&self.data)? {
                return Err(nothing_there(&self.data, if creates { OR_CREATE } else { "" }));
            }
            match self.open() {
                Ok(engine) => self.take_up(engine)?,
                Err(StoreError::InUse { .. }) => return self.once_it_answers(command),
                Err(error) => return Err(error.into()),
            }
        };
        self.carry_out(&engine, command)
    }

    fn carry_out(
        &mut self,
        engine: &Arc<Engine>,
        command: &WireCommand,
    ) -> Result<Answer, Failure> {
        if matches!(command, WireCommand::TakeOverAccount(_))
            && let Some(settings) = self.backend.take()
        {
            self.runtime.block_on(Backend::account(engine, &settings))?;
        }
        let principal = account::of_process();
        let value = self.runtime.block_on(engine.execute_wire(&principal, command.clone()))?;
        Ok(Answer { value, by: Answerer::Itself })
    }

    /// Sends a command to whoever holds the directory: a server that starts or stops, or another command.
    fn once_it_answers(&mut self, command: &WireCommand) -> Result<Answer, Failure> {
        let begun = Instant::now();
        while begun.elapsed() < ANSWER_WAIT {
            if let Some(answer) = control::send(&self.data, command) {
                return answer;
            }
            match self.open() {
                Ok(engine) => {
                    let engine = self.take_up(engine)?;
                    return self.carry_out(&engine, command);
                }
                // This has waited a moment.
                Err(StoreError::InUse { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure {
            kind: FailureKind::Invalid,
            message: format!(
                "a Keystile holds {}, and does not answer within {} seconds",
                self.data.display(),
                ANSWER_WAIT.as_secs()
            ),
            help: Some(
                "it may still be starting, with a large journal to look through, or stopping: see its log, and try again"
                    .to_owned(),
            ),
        })
    }

    /// Works with an engine that was just made.
    fn take_up(&mut self, engine: Arc<Engine>) -> Result<Arc<Engine>, Failure> {
        let sources = std::mem::take(&mut self.key_sources);
        let engine = self.engine.insert(engine).clone();
        key_sources::install(&engine, sources).map_err(|error| Failure {
            kind: FailureKind::Invalid,
            message: error.to_string(),
            help: Some("mend the file that `ca_file` names".to_owned()),
        })?;
        Ok(engine)
    }

    fn open(&mut self) -> Result<Arc<Engine>, StoreError> {
        probe::disk_of(&self.data)?;
        let directory = self.runtime.block_on(server::hold(&self.data))?;
        let (store, _) = Store::open(directory)?;
        if let Some(configuration) = &self.configuration {
            store.set_timeout(configuration.store_timeout);
        }
        let (policy, settings) = match self.configuration.take() {
            Some(configuration) => {
                let settings = server::engine_settings(&configuration);
                self.key_sources = configuration.threescale;
                self.backend = configuration.threescale_backend;
                (configuration.policy, settings)
            }
            None => (Policy::new(Vec::new(), Vec::new(), TimeZone::UTC), without_configuration()),
        };
        let engine = Engine::new(store, policy, settings);
        engine.checks.set(crate::reach::CHECKS).expect("the engine was made just now");
        Ok(Arc::new(engine))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(engine) = &self.engine {
            engine.store().close();
        }
    }
}

fn without_configuration() -> EngineSettings {
    EngineSettings {
        key_prefix: KeyPrefix::default(),
        retention: None,
        key_failures: "300 per minute".parse::<Quota>().expect("the text is a quota"),
        console_url: format!("http://localhost:{}", config::CONSOLE_PORT),
        gate: Vec::new(),
        watching: Arc::default(),
    }
}

fn creates_something(command: &WireCommand) -> bool {
    matches!(
        command,
        WireCommand::CreateToken(_)
            | WireCommand::MakeClaimLink(_)
            | WireCommand::CreateKeys(_)
            | WireCommand::ImportKey(_)
            | WireCommand::CreateApplication(_)
    )
}

/// By each of these a folder shows that a store is in it, or was.
const STORE_FILES: [&str; 5] =
    ["keystile.db", "keystile.db-wal", "pepper", "keystile.mark", "keystile.restoring"];

/// Whether there is a store, or what is left of one, of which opening it then tells.
fn holds_store(data: &std::path::Path) -> Result<bool, Failure> {
    for name in STORE_FILES {
        let is_there = data.join(name).try_exists();
        if is_there.map_err(|error| out_of_reach(data, &error))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether no store had begun when its first file was made: what is there holds nothing.
fn is_all_empty(data: &std::path::Path) -> bool {
    let length = |name| data.join(name).metadata().map_or(0, |metadata| metadata.len());
    STORE_FILES.iter().all(|name| length(name) == 0)
}

/// Whether there is a store cannot be seen.
fn out_of_reach(data: &std::path::Path, error: &std::io::Error) -> Failure {
    let help = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "run it as the user that owns the data",
        _ => "name a directory with --data DIR",
    };
    Failure {
        kind: FailureKind::Invalid,
        message: format!("the data directory {} cannot be used: {error}", data.display()),
        help: Some(help.to_owned()),
    }
}

/// What else helps a command that may make a store.
const OR_CREATE: &str = "\nor begin a new one there: the same command with --create";

/// There are files of a store, and they are empty.
fn nothing_begun(data: &std::path::Path) -> Failure {
    let Failure { kind, message, help } = nothing_there(data, "");
    let empty: Vec<_> = STORE_FILES.into_iter().filter(|name| data.join(name).exists()).collect();
    let verb = if empty.len() == 1 { "is" } else { "are" };
    let message = format!("{message}: {} {verb} empty", empty.join(" and "));
    Failure { kind, message, help }
}

fn nothing_there(data: &std::path::Path, or_create: &str) -> Failure {
    let folder = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    Failure {
        kind: FailureKind::Invalid,
        message: format!("there is no Keystile store in {} ({})", data.display(), folder.display()),
        help: Some(format!(
            "name it with --data DIR or --config FILE, or start one: keystile run{or_create}"
        )),
    }
}

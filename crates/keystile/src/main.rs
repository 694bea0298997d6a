//! Keystile: keys, plans, exact write budgets and a journal in front of an HTTP API.

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use keystile::cli::arguments::{
    Arguments, CheckArguments, CliCommand, CommonArguments, InitArguments, JournalCommand,
    RestoreArguments, RunArguments, StoreCommand,
};
use keystile::cli::{self, Screen, Session, Stop, Terminal};
use keystile::config::{self, Colors};
use keystile::local::Local;
use keystile::run::{self, Overwrite};
use keystile::{demo, log, reach};
use keystile_engine::command::{Failure, FailureKind};
use keystile_store::clock::wall_clock;
use keystile_store::error::Error as StoreError;

/// glibc's allocator gives memory back to the kernel and takes it again under this kind of load.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the end of the process waits for what may hang: a reader that does not read, a file system.
const LAST_WAIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    if let Some(code) = keystile::probe::child() {
        return code;
    }
    // The first thing: whoever makes a TLS configuration later finds its provider.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    let arguments = match cli::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    match &arguments.subcommand {
        // What runs for long must not hold the process's streams.
        CliCommand::Run(arguments) => ended(run_server(arguments)),
        CliCommand::Demo(arguments) => ended(serve("warn", demo::run(arguments))),
        _ => Terminal::lend(wall_clock(), |terminal| {
            carry_out(&arguments, terminal).unwrap_or_else(|failure| cli::report(failure, terminal))
        }),
    }
}

/// Tells why what ran for long has failed; a reader that does not read is not waited for.
fn ended(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    let (done, said) = mpsc::channel();
    let saying = std::thread::Builder::new().spawn(move || {
        let mut terminal = Terminal {
            stdin: &mut std::io::empty(),
            stdout: &mut std::io::sink(),
            stderr: &mut std::io::stderr(),
            screen: Screen::detect(wall_clock()),
        };
        cli::report(failure, &mut terminal);
        // Nobody waits any more where that took long.
        let _ = done.send(());
    });
    if saying.is_ok() {
        let _ = said.recv_timeout(LAST_WAIT);
    }
    ExitCode::FAILURE
}

fn carry_out(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<ExitCode, Failure> {
    match &arguments.subcommand {
        CliCommand::Run(_) | CliCommand::Demo(_) => Ok(ExitCode::SUCCESS),
        CliCommand::Init(arguments) => init(arguments, terminal),
        CliCommand::Check(arguments) => Ok(check(arguments, terminal)),
        CliCommand::Schema => {
            let printed = terminal.print_json(&config::schema());
            Ok(terminal.finish(printed.map_err(Stop::Output)))
        }
        CliCommand::Store(command) => on_store(command, terminal),
        CliCommand::Restore(arguments) => restore(arguments, terminal),
        CliCommand::AcceptLoss(arguments) => accept_loss(arguments, terminal),
        CliCommand::Paper(command) => Ok(cli::print(command, terminal)),
    }
}

fn failed(error: &anyhow::Error) -> Failure {
    let of_store = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>());
    Failure {
        kind: FailureKind::Fault,
        message: format!("{error:#}"),
        help: of_store.and_then(StoreError::help),
    }
}

fn serve(log_level: &str, work: impl Future<Output = anyhow::Result<()>>) -> Result<(), Failure> {
    let cannot_start = |what: &str, error: &std::io::Error| Failure {
        kind: FailureKind::Fault,
        message: format!("the program cannot start its {what}: {error}"),
        help: None,
    };
    let _log = log::begin(log_level).map_err(|error| cannot_start("log", &error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| cannot_start("runtime", &error))?;
    let ended = runtime.block_on(work).map_err(|error| failed(&error));
    // What still blocks, a look-up in a hung file system perhaps, does not keep the process.
    runtime.shutdown_timeout(LAST_WAIT);
    ended
}

fn run_server(arguments: &RunArguments) -> Result<(), Failure> {
    let (configuration, file) = run::configuration(arguments).map_err(|error| match error {
        run::RunError::Configuration(_) => Failure {
            kind: FailureKind::Invalid,
            message: format!("the configuration has mistakes\n\n{error}"),
            help: None,
        },
        run::RunError::Nothing => Failure {
            kind: FailureKind::Invalid,
            message: error.to_string(),
            help: Some(
                "guard an API without a file: keystile run --upstream http://127.0.0.1:3000\nor write one: keystile init"
                    .to_owned(),
            ),
        },
    })?;
    serve("info", run::run(configuration, file, arguments))
}

fn init(arguments: &InitArguments, terminal: &mut Terminal<'_>) -> Result<ExitCode, Failure> {
    let overwrite = if arguments.force { Overwrite::Yes } else { Overwrite::Never };
    run::init(&arguments.file, overwrite).map_err(|error| Failure {
        kind: FailureKind::Invalid,
        message: format!("{error:#}"),
        help: Some("name another file, or replace it with --force".to_owned()),
    })?;
    let name = arguments.file.display();
    let said = terminal.say(&format!(
        "Wrote {name}. Set your API's address in it, then: keystile run --config {name}"
    ));
    Ok(terminal.finish(said.map_err(Stop::Output)))
}

fn check(arguments: &CheckArguments, terminal: &mut Terminal<'_>) -> ExitCode {
    let path = arguments.path();
    let (problems, is_sound) = match config::load(&path) {
        Ok(configuration) => (reach::warnings(&path, configuration), true),
        Err(report) => (report.problems().to_vec(), false),
    };
    let written = if arguments.json {
        terminal.print_json(&problems)
    } else {
        let width = usize::from(terminal.screen.width.unwrap_or(100));
        let text: Vec<String> =
            problems.iter().map(|problem| problem.render(width, Colors::Off)).collect();
        let summary = match (is_sound, problems.len()) {
            (true, 0) => format!("{} is good.", path.display()),
            (true, _) => format!("{} works; see the warnings.", path.display()),
            (false, _) => format!("{}.", config::summary(&problems)),
        };
        text.iter().try_for_each(|text| terminal.say(text)).and_then(|()| terminal.say(&summary))
    };
    terminal.finish(match (written, is_sound) {
        (Ok(()), true) => Ok(()),
        (Err(error), true) => Err(Stop::Output(error)),
        // A reader that leaves does not make the file good.
        (Ok(()) | Err(_), false) => Err(Stop::Reported),
    })
}

fn on_store(command: &StoreCommand, terminal: &mut Terminal<'_>) -> Result<ExitCode, Failure> {
    let mut local = Local::of(&command.target().resolve())?.creating(command.target().create);
    if matches!(command, StoreCommand::Journal(JournalCommand::Follow(_))) {
        local = local.only_with_server();
    }
    let mut send = |command| local.send(&command);
    let mut session = Session { terminal, send: &mut send };
    Ok(cli::dispatch(command, &mut session))
}

fn restore(arguments: &RestoreArguments, terminal: &mut Terminal<'_>) -> Result<ExitCode, Failure> {
    let data = Local::data_of(&arguments.common.target.resolve())?;
    keystile::probe::disk_of(&data)?;
    cli::restore::check(arguments, &data)?;
    keystile_store::files::backup::restore(&data, &arguments.file)?;
    let said = cli::restore::report_done(arguments, &data, terminal);
    Ok(terminal.finish(said))
}

fn accept_loss(
    arguments: &CommonArguments,
    terminal: &mut Terminal<'_>,
) -> Result<ExitCode, Failure> {
    let accepted = Local::accept_loss(&arguments.target.resolve())?;
    let said = cli::restore::report_accepted(arguments, accepted.as_deref(), terminal);
    Ok(terminal.finish(said))
}

//! Keystile: keys, plans, exact write budgets and a journal in front of an HTTP API.

use std::process::ExitCode;

use keystile::cli::arguments::{
    Arguments, CheckArguments, CliCommand, InitArguments, OwnerCommand, RestoreArguments,
    RunArguments,
};
use keystile::cli::{self, Session, Terminal};
use keystile::config::{self, Colors};
use keystile::local::Local;
use keystile::run::{self, Overwrite};
use keystile::{demo, log};
use keystile_engine::command::Failure;
use keystile_store::clock::wall_clock;

fn main() -> ExitCode {
    // The first thing: whoever makes a TLS configuration later finds its provider.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return ExitCode::FAILURE;
    }
    let arguments = match cli::parse() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    // What runs for long must not hold the process's streams.
    let ended = match &arguments.subcommand {
        CliCommand::Run(arguments) => run_server(arguments),
        CliCommand::Demo(arguments) => serve(demo::run(arguments)),
        CliCommand::Init(_)
        | CliCommand::Check(_)
        | CliCommand::Schema
        | CliCommand::Owner(_)
        | CliCommand::Restore(_)
        | CliCommand::Paper(_) => Ok(()),
    };
    Terminal::lend(wall_clock(), |terminal| {
        match ended.and_then(|()| carry_out(&arguments, terminal)) {
            Ok(code) => code,
            Err(failure) => cli::report(failure, terminal),
        }
    })
}

fn carry_out(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<ExitCode, Failure> {
    match &arguments.subcommand {
        CliCommand::Run(_) | CliCommand::Demo(_) => Ok(ExitCode::SUCCESS),
        CliCommand::Init(arguments) => init(arguments, terminal),
        CliCommand::Check(arguments) => Ok(check(arguments, terminal)),
        CliCommand::Schema => {
            terminal.print_json(&config::schema()).map_err(unwritable)?;
            Ok(ExitCode::SUCCESS)
        }
        CliCommand::Owner(command) => owner(command, terminal),
        CliCommand::Restore(arguments) => restore(arguments, terminal),
        CliCommand::Paper(command) => Ok(cli::print(command, terminal)),
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure {
        message: format!("the output cannot be written: {error}"),
        help: None,
    }
}

fn failed(error: &anyhow::Error) -> Failure {
    // The outermost text is the advice where there is some; the rest is the chain of causes.
    Failure {
        message: format!("{error:#}"),
        help: None,
    }
}

fn serve(work: impl Future<Output = anyhow::Result<()>>) -> Result<(), Failure> {
    log::begin();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure {
            message: format!("the program cannot start its runtime: {error}"),
            help: None,
        })?;
    runtime.block_on(work).map_err(|error| failed(&error))
}

fn run_server(arguments: &RunArguments) -> Result<(), Failure> {
    let (configuration, file) = run::configuration(arguments).map_err(|error| match error {
        run::RunError::Configuration(_) => Failure {
            message: format!("the configuration has mistakes\n\n{error}"),
            help: None,
        },
        run::RunError::Nothing => Failure {
            message: error.to_string(),
            help: Some(
                "guard an API without a file: keystile run --upstream http://127.0.0.1:3000\nor write one: keystile init"
                    .to_owned(),
            ),
        },
    })?;
    serve(async { run::run(configuration, file, arguments, &mut std::io::stdout()).await })
}

fn init(arguments: &InitArguments, terminal: &mut Terminal<'_>) -> Result<ExitCode, Failure> {
    let overwrite = if arguments.force {
        Overwrite::Yes
    } else {
        Overwrite::Never
    };
    run::init(&arguments.file, overwrite).map_err(|error| Failure {
        message: format!("{error:#}"),
        help: Some("name another file, or replace it with --force".to_owned()),
    })?;
    let name = arguments.file.display();
    terminal
        .say(&format!(
            "Wrote {name}. Set your API's address in it, then: keystile run --config {name}"
        ))
        .map_err(unwritable)?;
    Ok(ExitCode::SUCCESS)
}

fn check(arguments: &CheckArguments, terminal: &mut Terminal<'_>) -> ExitCode {
    let path = arguments.path();
    let (problems, is_sound) = match config::load(&path) {
        Ok(configuration) => (configuration.warnings, true),
        Err(report) => (report.problems().to_vec(), false),
    };
    let written = if arguments.json {
        terminal.print_json(&problems)
    } else {
        let width = usize::from(terminal.screen.width.unwrap_or(100));
        let text: Vec<String> = problems
            .iter()
            .map(|problem| problem.render(width, Colors::Off))
            .collect();
        let verdict = match (is_sound, problems.len()) {
            (true, 0) => format!("{} is good.", path.display()),
            (true, _) => format!("{} works; see the warnings.", path.display()),
            (false, 1) => format!("{}: 1 mistake.", path.display()),
            (false, count) => format!("{}: {count} mistakes.", path.display()),
        };
        text.iter()
            .try_for_each(|text| writeln!(terminal.stderr, "{text}"))
            .and_then(|()| terminal.say(&verdict))
    };
    match (written, is_sound) {
        (Ok(()), true) => ExitCode::SUCCESS,
        (Ok(()), false) | (Err(_), _) => ExitCode::FAILURE,
    }
}

fn owner(command: &OwnerCommand, terminal: &mut Terminal<'_>) -> Result<ExitCode, Failure> {
    let mut local = Local::of(&command.target().resolve())?;
    let gate = local.gate();
    let mut send = |command| local.send(&command);
    let mut session = Session {
        terminal,
        send: &mut send,
        gate,
    };
    Ok(cli::dispatch(command, &mut session))
}

fn restore(arguments: &RestoreArguments, terminal: &mut Terminal<'_>) -> Result<ExitCode, Failure> {
    let data = Local::data_of(&arguments.common.target.resolve())?;
    cli::restore::check(arguments, &data)?;
    let directory = keystile_store::directory::DataDirectory::hold(&data)?;
    keystile_store::backup::restore(&directory, &arguments.file)?;
    let said = cli::restore::report_done(arguments, &data, terminal);
    Ok(terminal.finish(said))
}

//! The command line: arguments in, commands to the engine, answers out.
//!
//! A line is parsed into [`Arguments`]. What an owner asks of the store becomes an engine
//! [`Command`](keystile_engine::command::Command) that goes through [`Session::send`], to a running
//! server or to the store itself; nothing here knows which. Data goes to standard output, talk to standard error.
//!
//! Not here: `run`, `demo`, `init`, `check`, `schema` and the work of `restore`. Their arguments are parsed
//! here and carried out elsewhere.

mod application;
pub mod arguments;
mod audit;
mod drift;
mod export;
mod follow;
mod info;
mod journal;
mod json;
mod key;
mod notify;
mod owner;
mod records;
mod render;
pub mod restore;
mod server;
mod session;
mod target;
mod threescale;
mod token;
mod when;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser as _;
use keystile_engine::command::Failure;
use keystile_store::clock::wall_clock;

use arguments::{Arguments, PaperCommand, StoreCommand};

pub use keystile_core::text::printable;
pub use session::{Color, Medium, Screen, Session, Stop, Terminal};
pub use target::{Target, TargetArguments};
pub use when::{InvalidWhen, When};

/// Reads the process's arguments; what is left where they ask for help or are wrong is the exit code.
pub fn parse() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(|error| {
        let printed = error.print();
        match printed {
            // Nobody is left to tell when a complaint cannot be printed.
            _ if error.use_stderr() => ExitCode::from(session::USAGE),
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                Terminal::lend(wall_clock(), |terminal| terminal.finish(Err(Stop::Output(error))))
            }
        }
    })
}

/// Carries out a command that works on a store or on the server that runs on it.
pub fn dispatch(command: &StoreCommand, session: &mut Session<'_, '_>) -> ExitCode {
    let result = match command {
        StoreCommand::Reload(arguments) => server::reload(arguments, session),
        StoreCommand::Status(arguments) => server::status(arguments, session),
        StoreCommand::Key(command) => key::dispatch(command, session),
        StoreCommand::Application(command) => application::dispatch(command, session),
        StoreCommand::Journal(command) => journal::dispatch(command, session),
        StoreCommand::Owner(command) => owner::dispatch(command, session),
        StoreCommand::Token(command) => token::dispatch(command, session),
        StoreCommand::Notify(command) => notify::dispatch(command, session),
        StoreCommand::Threescale(command) => threescale::dispatch(command, session),
        StoreCommand::Audit(command) => audit::dispatch(command, session),
        StoreCommand::Backup(arguments) => server::back_up(arguments, session),
        StoreCommand::Doctor(arguments) => server::diagnose(arguments, session),
    };
    session.terminal.finish(result)
}

/// Prints completions, manual pages or the version; none of them needs a store.
pub fn print(command: &PaperCommand, terminal: &mut Terminal<'_>) -> ExitCode {
    let result = info::print(command, terminal);
    terminal.finish(result)
}

/// Tells why a command of the caller's own failed; the exit code says so too.
pub fn report(failure: Failure, terminal: &mut Terminal<'_>) -> ExitCode {
    terminal.finish(Err(Stop::Failed(failure)))
}

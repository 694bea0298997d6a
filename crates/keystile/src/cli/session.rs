//! What a command works with: the streams of the process, and the way to the engine.

use std::fmt;
use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Style};
use keystile_core::time::Timestamp;
use keystile_engine::advice;
use keystile_engine::command::wire::{OverWire, WireCommand};
use keystile_engine::command::{Command, Edited, Failure, FailureKind};
use serde::Serialize;

use super::arguments::{ConsentArguments, Form};
use super::json::{self, Layout};
use crate::exchange::Answer;
use keystile_core::text::printable_lines;

/// The exit code where the arguments are wrong.
pub(super) const USAGE: u8 = 2;

/// What a stream is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A person's terminal.
    Terminal,
    /// A file or another program.
    Other,
}

/// Whether color may be used; it never is the only sign of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// It may, on terminals.
    Wanted,
    /// The environment says no.
    Unwanted,
}

/// What the streams are connected to, and the time that "3 min ago" is seen from.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Standard input.
    pub stdin: Medium,
    /// Standard output.
    pub stdout: Medium,
    /// Standard error.
    pub stderr: Medium,
    /// Whether to use color.
    pub color: Color,
    /// Columns of the terminal that standard output is connected to; `None` without a terminal.
    pub width: Option<u16>,
    /// The time on the store's clock.
    pub now: Timestamp,
}

impl Screen {
    /// Looks at the process's own streams and environment.
    pub fn detect(now: Timestamp) -> Self {
        let medium = |is_terminal| {
            if is_terminal { Medium::Terminal } else { Medium::Other }
        };
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let color = match (set("NO_COLOR"), set("TERM")) {
            (Some(_), _) => Color::Unwanted,
            (None, Some(term)) if term == "dumb" => Color::Unwanted,
            (None, _) => Color::Wanted,
        };
        Self {
            stdin: medium(io::stdin().is_terminal()),
            stdout: medium(io::stdout().is_terminal()),
            stderr: medium(io::stderr().is_terminal()),
            color,
            // A terminal that does not know its size says 0.
            width: comfy_table::Table::new().width().filter(|width| *width > 0),
            now,
        }
    }

    /// How JSON is laid out on standard output.
    pub(super) fn layout(&self) -> Layout {
        match self.stdout {
            Medium::Terminal => Layout::Indented,
            Medium::Other => Layout::Line,
        }
    }
}

/// The process's streams, or a test's.
pub struct Terminal<'a> {
    /// Where answers to questions come from.
    pub stdin: &'a mut dyn BufRead,
    /// Where data goes.
    pub stdout: &'a mut dyn Write,
    /// Where talk goes.
    pub stderr: &'a mut dyn Write,
    /// What they are connected to.
    pub screen: Screen,
}

impl fmt::Debug for Terminal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("screen", &self.screen).finish_non_exhaustive()
    }
}

impl Terminal<'_> {
    /// Lends the process's own streams.
    pub fn lend<T>(now: Timestamp, work: impl FnOnce(&mut Terminal<'_>) -> T) -> T {
        let mut stdout = BufWriter::new(io::stdout().lock());
        let mut terminal = Terminal {
            stdin: &mut io::stdin().lock(),
            stdout: &mut stdout,
            // Locked per line only: the log writes there too.
            stderr: &mut io::stderr(),
            screen: Screen::detect(now),
        };
        work(&mut terminal)
    }

    /// Says something that is not data; escapes all but line ends.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        // What was printed before must not appear after what is said of it.
        self.stdout.flush()?;
        writeln!(self.stderr, "{}", printable_lines(text))
    }

    /// Prints a value as JSON.
    pub fn print_json(&mut self, value: &impl Serialize) -> io::Result<()> {
        json::write_line(self.stdout, value, self.screen.layout())
    }

    /// Reports what went wrong, if anything did, and gives the process its exit code.
    pub fn finish(&mut self, result: Result<(), Stop>) -> ExitCode {
        let flushed = self.stdout.flush().map_err(Stop::Output);
        match result.and(flushed) {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever read the output has read enough.
            Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                ExitCode::SUCCESS
            }
            Err(Stop::Output(error)) => {
                let message = format!("the output cannot be written: {error}");
                self.complain(&Failure { kind: FailureKind::Invalid, message, help: None });
                ExitCode::FAILURE
            }
            Err(Stop::Failed(failure)) => {
                self.complain(&failure);
                ExitCode::FAILURE
            }
            Err(Stop::NobodyToAsk) => {
                self.complain(&Failure {
                    kind: FailureKind::Invalid,
                    message: "this cannot be undone, and there is no terminal to confirm it on"
                        .to_owned(),
                    help: Some("add --yes to do it without a question".to_owned()),
                });
                ExitCode::from(USAGE)
            }
            Err(Stop::Reported) => ExitCode::FAILURE,
        }
    }

    fn complain(&mut self, failure: &Failure) {
        let (red, bold) = match (self.screen.stderr, self.screen.color) {
            (Medium::Terminal, Color::Wanted) => {
                (AnsiColor::Red.on_default().bold(), Style::new().bold())
            }
            (Medium::Other, _) | (_, Color::Unwanted) => (Style::new(), Style::new()),
        };
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(self.stderr, "{red}error{red:#}: {}", printable_lines(&failure.message));
        if let Some(help) = &failure.help {
            let command = advice::command_for(help).map(|command| format!(": {command}"));
            let help = format!("{help}{}", command.unwrap_or_default());
            let _ = writeln!(self.stderr, "{bold}help{bold:#}: {}", printable_lines(&help));
        }
    }
}

/// A terminal, and the way to the engine.
pub struct Session<'a, 't> {
    /// The streams.
    pub terminal: &'a mut Terminal<'t>,
    /// Sends a command to the running server or carries it out on the store.
    pub send: &'a mut dyn FnMut(WireCommand) -> Result<Answer, Failure>,
}

impl fmt::Debug for Session<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { terminal, send: _ } = self;
        f.debug_struct("Session").field("terminal", terminal).finish_non_exhaustive()
    }
}

impl Session<'_, '_> {
    /// Has a command carried out, by the running server or on the store.
    pub(super) fn execute<C: OverWire>(&mut self, command: C) -> Result<C::Answer, Stop> {
        Ok((self.send)(command.into())?.read()?)
    }

    /// Edits something, and says what was done.
    pub(super) fn edit<V, C>(&mut self, command: C, form: Form) -> Result<(), Stop>
    where
        C: OverWire + Command<Answer = Edited<V>>,
    {
        let done = self.execute(command)?.done;
        self.say_done(form, &done)
    }

    /// Says what was done.
    pub(super) fn say_done(&mut self, form: Form, sentence: &str) -> Result<(), Stop> {
        match form {
            Form::Text => self.terminal.say(sentence)?,
            Form::Json => self.terminal.print_json(&serde_json::json!({ "done": sentence }))?,
        }
        Ok(())
    }

    /// Asks a person before something that cannot be undone, unless they have agreed already; returns where they
    /// agree. The question is made where there is somebody to answer it.
    pub(super) fn ask(
        &mut self,
        consent: ConsentArguments,
        question: impl FnOnce(&mut Self) -> Result<String, Stop>,
    ) -> Result<(), Stop> {
        if consent.yes {
            return Ok(());
        }
        let screen = self.terminal.screen;
        if (screen.stdin, screen.stderr) != (Medium::Terminal, Medium::Terminal) {
            return Err(Stop::NobodyToAsk);
        }
        let question = question(self)?;
        self.terminal.say(&format!("{question} [y/N]"))?;
        let mut line = String::new();
        self.terminal.stdin.read_line(&mut line)?;
        if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        self.terminal.say("Nothing was changed.")?;
        Err(Stop::Reported)
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Stop {
    /// It could not be done.
    Failed(Failure),
    /// It has to be confirmed, and there is no terminal to ask on. That is a matter of its arguments.
    NobodyToAsk,
    /// The output could not be written, perhaps because its reader has left.
    Output(io::Error),
    /// All that is to be said has been said.
    Reported,
}

impl Stop {
    /// A failure with advice.
    pub(super) fn failed(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Failed(Failure {
            kind: FailureKind::Invalid,
            message: message.into(),
            help: Some(help.into()),
        })
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

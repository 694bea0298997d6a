//! The command line: a command, then `--name value` pairs.

use std::str::FromStr;

use crate::Outcome;

/// The words after the program's name.
pub struct Args {
    words: Vec<String>,
}

impl Args {
    /// Reads the words this program was started with.
    pub fn from_environment() -> Self {
        Self { words: std::env::args().skip(1).collect() }
    }

    /// The first word.
    pub fn command(&self) -> Option<&str> {
        self.words.first().map(String::as_str)
    }

    /// The text after `name`, if the flag was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        let at = self.words.iter().position(|word| word == name)?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// The number after `name`, or `default` when the flag was not given.
    pub fn number<T: FromStr>(&self, name: &str, default: T) -> Outcome<T> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("{name} {text}: not a number").into()),
        }
    }

    /// The text after `name`; its absence is an error.
    pub fn required(&self, name: &str) -> Outcome<&str> {
        self.text(name).ok_or_else(|| format!("{name} is missing").into())
    }
}

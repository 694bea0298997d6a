//! Measures the parts of Keystile beside the gate: admissions with fsync, the decision, 3scale's backend, and
//! how starts, lists and debits do when the journal has grown.

mod admissions;
mod authrep;
mod decision;
mod journal;
mod listing;
mod setting;
mod watched;

use std::process::ExitCode;

/// What a step gives back.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "\
usage:
  keystile-bench-store admissions [WAITING] [SECONDS]
  keystile-bench-store authrep [SECONDS]
  keystile-bench-store watched [WAITING] [ROUNDS]
  keystile-bench-store decision
  keystile-bench-store journal [RECORDS]
  keystile-bench-store grow DIRECTORY [RECORDS]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, usual: u64| {
        words.get(place).map_or(Ok(usual), |word| word.replace('_', "").parse::<u64>())
    };
    let outcome = (|| match words.first().map(String::as_str) {
        Some("admissions") => admissions::run(number(1, 64)?, number(2, 5)?),
        Some("authrep") => authrep::run(number(1, 4)?),
        Some("watched") => watched::run(number(1, 64)?, number(2, 9)?),
        Some("decision") => decision::run(),
        Some("journal") => journal::run(number(1, 10_000_000)?),
        Some("grow") if words.len() > 1 => {
            journal::grow_in(words[1].as_ref(), number(2, 10_000_000)?)
        }
        Some(_) | None => Err(USAGE.into()),
    })();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keystile-bench-store: {error}");
            ExitCode::FAILURE
        }
    }
}

//! Measures Keystile next to its peers on one machine; `bench/run` builds and starts it.
//!
//! Every command runs on loopback, is bounded in time, and leaves nothing behind: programs and
//! directories belong to values whose `Drop` ends them, and an interrupt drops the whole run.

mod args;
mod compare;
mod growth;
mod http;
mod keys;
mod load;
mod measure;
mod peer;
mod process;
mod quiet;
mod relay;
mod scratch;
mod table;
mod transfer;
mod upstream;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::args::Args;

/// What a step gives back; the text of the error says what to do.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "\
usage:
  keystile-bench compare [--rounds 5] [--seconds 5] [--keystile PATH] [--peers a,b,...]
                         [--patience 300]
  keystile-bench growth  [--seconds 4] [--keystile PATH] [--peer keystile] [--only connections|keys|bodies]
                         [--keys-max 1000000] [--patience 300]
peers: relay haproxy nginx-lua nginx-lua-redis keystile keystile-off keystile-watched
used by the commands above:
  keystile-bench relay --listen PORT --to PORT
  keystile-bench transfer --port PORT --bytes N --direction upload|download --key KEY --seconds S
                          --connections N";

fn main() -> ExitCode {
    // One thread, the main one, starts every program: `setpriv --pdeathsig` watches the thread.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("keystile-bench: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(Args::from_environment()) => outcome,
            outcome = interrupted() => outcome,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keystile-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Outcome<()> {
    match args.command() {
        Some("compare") => compare::run(&args).await,
        Some("growth") => growth::run(&args).await,
        Some("relay") => relay::run(&args).await,
        Some("transfer") => transfer::run(&args).await,
        Some(_) | None => Err(USAGE.into()),
    }
}

/// Waits for the first of the signals that ask a program to stop.
async fn interrupted() -> Outcome<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Err("interrupted; everything started has been stopped".into())
}

//! Keystile as its owner and their callers meet it: the real program, on real sockets, in front of an
//! upstream that records all that reaches it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends at the first thing that goes wrong, and says what it did not try"
)]

mod accounts;
mod audit;
mod backend;
mod backup;
mod burst;
mod commands;
mod console;
mod crash;
mod disk;
mod export;
mod harness;
mod hostile;
mod hung;
mod import;
mod import_policy;
mod journal;
mod keys;
mod lock_there;
mod log;
mod look_up;
mod many;
mod memory;
mod messages;
mod outcomes;
mod owners;
mod parts;
mod plans;
mod print;
mod quick;
mod reload;
mod stop;
mod threescale;
mod threescale_usage;
mod tokens;
mod versions;
mod windows;

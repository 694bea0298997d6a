//! The house rules: what neither the compiler nor clippy holds, held here.
//!
//! With `KEYSTILE_BLESS=1` the references in `docs/` are rewritten instead of compared.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod circles;
mod commands;
mod contracts;
mod documents;
mod manifests;
mod references;
mod retired;
mod sources;
mod threescale;
mod tree;

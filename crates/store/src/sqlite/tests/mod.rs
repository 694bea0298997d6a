//! Tests of the store on a real directory. They look into its tables and hold up its writer, so they are inside
//! of what keeps the rows.

#![expect(clippy::disallowed_methods, reason = "a test may wait on its own thread")]
#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod amounts;
mod audit;
mod backup;
mod blocks;
mod change;
mod clock;
mod crash;
mod damage;
mod documents;
mod exact;
mod fault;
mod follow;
mod imported;
mod test_store;

mod departure;
mod listing;
mod lost;
mod make;
mod merge;
mod meters;
mod migrations;
mod nodes;
mod oracle;
mod outbox;
mod owner;
mod past;
mod plan;
mod restart;
mod sent;
mod shared;
mod shared_oracle;

//! The admin API and the routes of the console, asked as a client asks: in one process, on a real store.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod acts;
mod description;
mod docs;
mod doors;
mod forms;
mod hooks;
mod limits;
mod pages;
mod problems;
mod shared_budgets;
mod sources;
mod stream;
mod test_console;
mod versions;

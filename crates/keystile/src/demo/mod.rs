//! The demo.

use crate::cli::arguments::DemoArguments;

/// Runs it.
pub async fn run(_arguments: &DemoArguments) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}

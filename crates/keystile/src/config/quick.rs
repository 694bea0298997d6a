//! The configuration of `keystile run --upstream URL`, which needs no file.

use std::path::{Path, PathBuf};

use keystile_core::policy::api::Mode;

use super::addresses::Addresses;
use super::diagnostic::{Report, Source};
use super::raw::{self, File};
use super::read::Reading;
use super::resolve;
use super::resolved::Configuration;
use super::value::{OneOrMany, Spanned, TextOr};

/// Strangers may write, and whoever writes more than a busy person would stops at the owner's desk.
const WRITE_BUDGETS: [&str; 2] = ["1000 per day", "60 per minute"];

/// One API named `api` at an upstream, and one plan `open` that allows everything within two write
/// budgets.
pub fn for_upstream(
    upstream: &str,
    addresses: &Addresses,
    mode: Mode,
    data: PathBuf,
) -> Result<Configuration, Report> {
    let source = Source::new("--upstream", upstream);
    let one = |value: &str| OneOrMany { values: vec![spot(value.to_owned())], place: 0..0 };
    let mut file = File::default();
    let upstream = Spanned { value: upstream.to_owned(), place: 0..upstream.len() };
    let api = raw::Api {
        upstream: Some(OneOrMany { place: upstream.place.clone(), values: vec![upstream] }),
        mode: Some(spot(match mode {
            Mode::Off => raw::Mode::Off,
            Mode::Observe => raw::Mode::Observe,
            Mode::Enforce => raw::Mode::Enforce,
        })),
        ..raw::Api::default()
    };
    file.api.insert(spot("api".to_owned()), api);
    let budgets = WRITE_BUDGETS.map(|quota| spot(TextOr::Text(quota.to_owned())));
    let plan = raw::Plan {
        allow: Some(one("api: *")),
        write_budget: Some(OneOrMany { values: budgets.into(), place: 0..0 }),
        ..raw::Plan::default()
    };
    file.plan.insert(spot("open".to_owned()), plan);
    let reading =
        Reading { file: Some(file), problems: Vec::new(), lost: Vec::new(), is_broken: false };
    let mut configuration = resolve::resolve(&source, reading, Path::new(""), addresses)?;
    configuration.data = data;
    Ok(configuration)
}

/// A value that nobody wrote.
fn spot<T>(value: T) -> Spanned<T> {
    Spanned { value, place: 0..0 }
}

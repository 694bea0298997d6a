//! What a person sees who makes a mistake, and that nothing else is one.

mod everything;
mod form;
mod full;
mod hostile;
mod notifications;
mod rules;
mod settings;
mod threescale;
mod working;

use std::path::Path;

use super::{Colors, Configuration, Report, from_text};

/// The smallest file around which a test writes its point.
const SMALL: &str = "[api.bookmarks]\nupstream = \"http://127.0.0.1:7071\"\n[plan.open]\nallow = \"bookmarks: *\"\n";

fn read(text: &str) -> Result<Configuration, Report> {
    from_text(text, "keystile.toml", Path::new("/srv"))
}

/// A file that must work.
fn good(text: &str) -> Configuration {
    read(text).unwrap_or_else(|report| panic!("{}", report.render(100, Colors::Off)))
}

/// The findings of a file that must not work, one a line, with what helps.
fn bad(text: &str) -> String {
    let report = read(text).expect_err("the file has a mistake");
    let lines = report.problems().iter().map(|problem| {
        let help = problem.help_text().map_or(String::new(), |help| format!("\n  help: {help}"));
        problem.to_string().replacen("keystile.toml:", "", 1) + &help
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The findings of the small file with a mistake in front.
fn bad_before(text: &str) -> String {
    bad(&format!("{text}\n{SMALL}"))
}

/// The findings of the small file with lines added to its plan.
fn bad_plan(text: &str) -> String {
    bad(&format!("{SMALL}{text}\n"))
}

/// The findings of an API with lines of its own.
fn bad_api(text: &str) -> String {
    bad(&format!(
        "[plan.open]\nallow = \"*: *\"\n[api.bookmarks]\nupstream = \"http://127.0.0.1:7071\"\n{text}\n"
    ))
}

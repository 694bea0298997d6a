//! From text to the raw file: every mistake of form, each with its place.
//!
//! serde stops at the first mistake. Here the key or value that it stopped at is taken out of the
//! parsed table and the rest is read again, until nothing is wrong with what is left.

use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Place, Source};
use super::path::{Lost, Removed, Step};
use super::raw::File;
use super::{explain, unclosed};

/// A file with more mistakes is something else than a configuration.
pub(super) const PROBLEMS_MAX: usize = 100;

/// The raw file, as far as it could be read, and what is wrong with its form.
#[derive(Debug)]
pub(super) struct Reading {
    /// `None` where what is left cannot be read at all.
    pub(super) file: Option<File>,
    pub(super) problems: Vec<Diagnostic>,
    /// What is missing from `file` because it was wrong.
    pub(super) lost: Vec<Lost>,
    /// The TOML itself is broken, so that keys may be missing that were meant.
    pub(super) is_broken: bool,
}

/// Reads a text as far as it goes.
pub(super) fn read(source: &Arc<Source>) -> Reading {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let (mut problems, is_cut) = syntax(source, &errors);
    let is_broken = !problems.is_empty();
    // After a broken header nobody knows which table the lines below it belong to.
    let is_hopeless = is_cut || problems.iter().any(|problem| is_broken_header(source, problem));
    let (mut file, mut lost) = (None, Vec::new());
    if !is_hopeless {
        let syntax_lines: Vec<_> = problems.iter().map(Diagnostic::line).collect();
        let found;
        (file, found, lost) = deserialize(source, table);
        problems
            .extend(found.into_iter().filter(|problem| !syntax_lines.contains(&problem.line())));
    }
    problems.truncate(PROBLEMS_MAX);
    Reading { file, problems, lost, is_broken }
}

/// What the parser found, and whether it lost its way at a bracket that is not closed: then that is all
/// that is wrong, as far as anybody can tell.
fn syntax(source: &Arc<Source>, errors: &[toml::de::Error]) -> (Vec<Diagnostic>, bool) {
    let mut problems = Vec::new();
    for error in errors.iter().take(PROBLEMS_MAX) {
        let at = error.span().map_or(source.text().len(), |place| place.start);
        if let Some(opener) = unclosed::opener(source.text(), at) {
            problems.push(explain::unclosed(source, opener));
            return (problems, true);
        }
        problems.push(explain::syntax(source, error));
    }
    (problems, false)
}

fn is_broken_header(source: &Source, problem: &Diagnostic) -> bool {
    let start = problem.place().map_or(0, |place| place.start);
    let line_start = source.text()[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let is_header = source.text()[line_start..].trim_start().starts_with('[');
    is_header && !problem.message().contains("twice")
}

fn deserialize(
    source: &Arc<Source>,
    mut table: Spanned<DeTable<'_>>,
) -> (Option<File>, Vec<Diagnostic>, Vec<Lost>) {
    let (mut problems, mut lost) = (Vec::new(), Vec::new());
    while problems.len() < PROBLEMS_MAX {
        let error = match File::deserialize(toml::de::Deserializer::from(table.clone())) {
            Ok(file) => return (Some(file), problems, lost),
            Err(error) => error,
        };
        let place = error.span().unwrap_or_default();
        let Some(mut removed) = remove(table.get_mut(), &place) else {
            problems.push(explain::other(source, &error));
            break;
        };
        problems.push(explain::form(source, error.message(), &mut removed));
        lost.push(Lost { path: removed.path, key_place: removed.key_place });
    }
    (None, problems, lost)
}

/// Takes out the key or value at a place; where none is exactly there, the smallest one around it.
fn remove(table: &mut DeTable<'_>, place: &Place) -> Option<Removed> {
    let exact = |key: &Place, value: &Place| key == place || value == place;
    if let Some(removed) = remove_where(table, &mut Vec::new(), &exact) {
        return Some(removed);
    }
    let around = |outer: &Place| outer.start <= place.start && place.end <= outer.end;
    remove_where(table, &mut Vec::new(), &|key, value| around(key) || around(value))
}

/// Takes out the first key or value that fits, deeper ones first.
fn remove_where(
    table: &mut DeTable<'_>,
    path: &mut Vec<Step>,
    fits: &dyn Fn(&Place, &Place) -> bool,
) -> Option<Removed> {
    let mut target = None;
    for (key, value) in table.iter_mut() {
        path.push(Step::Key(key.get_ref().to_string()));
        if let Some(removed) = remove_below(value, path, fits) {
            return Some(removed);
        }
        if target.is_none() && fits(&key.span(), &value.span()) {
            let found = value.get_ref().type_str();
            let (key_place, value_place) = (key.span(), value.span());
            target =
                Some((key.clone(), Removed { path: path.clone(), key_place, value_place, found }));
        }
        path.pop();
    }
    let (key, removed) = target?;
    table.remove(&key);
    Some(removed)
}

fn remove_below(
    value: &mut Spanned<DeValue<'_>>,
    path: &mut Vec<Step>,
    fits: &dyn Fn(&Place, &Place) -> bool,
) -> Option<Removed> {
    let place = value.span();
    match value.get_mut() {
        DeValue::Table(table) => remove_where(table, path, fits),
        DeValue::Array(array) => {
            for (index, entry) in array.iter_mut().enumerate() {
                path.push(Step::Index(index));
                if let Some(removed) = remove_below(entry, path, fits) {
                    return Some(removed);
                }
                let (entry_place, found) = (entry.span(), entry.get_ref().type_str());
                if fits(&entry_place, &entry_place) {
                    let entries = array.iter().enumerate();
                    *array = entries
                        .filter(|(at, _)| *at != index)
                        .map(|(_, entry)| entry.clone())
                        .collect();
                    let path = path.clone();
                    return Some(Removed {
                        path,
                        key_place: place,
                        value_place: entry_place,
                        found,
                    });
                }
                path.pop();
            }
            None
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}

//! Rules on the shape of a crate: its files import each other in one direction, and lie in rooms.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::tree::{SourceFile, files};

/// A module of a crate, as the names from its root.
type Module = Vec<String>;

/// A path that `use` brings in, and its name here.
type Import = (Vec<String>, String);

/// How many files may lie side by side in a crate's `src` before they need rooms.
const FLAT_MAX: usize = 15;

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let mut broken = Vec::new();
    for (name, files) in crates() {
        let imports = imports(&files);
        let found = in_circles(&imports);
        if !found.is_empty() {
            let circle = shortest_circle(&imports, &found).join("\n    -> ");
            broken.push(format!("crates/{name}: {} files in circles:\n    {circle}", found.len()));
        }
    }
    assert!(broken.is_empty(), "what two files share belongs below both:\n{}", broken.join("\n"));
}

#[test]
fn the_files_of_a_crate_lie_in_rooms() {
    for (name, files) in crates() {
        let is_flat = |file: &&SourceFile| file.path.matches('/').count() == 3;
        let count = files.iter().filter(is_flat).count();
        assert!(count <= FLAT_MAX, "crates/{name}/src: {count} files side by side need folders");
    }
}

/// The files of each crate that are no tests.
fn crates() -> BTreeMap<String, Vec<SourceFile>> {
    let mut crates = BTreeMap::<_, Vec<_>>::new();
    for file in files(&["crates"], "rs") {
        let mut parts = file.path.split('/').skip(1);
        let name = parts.next().unwrap().to_owned();
        if parts.next() == Some("src") && !file.is_test() {
            crates.entry(name).or_default().push(file);
        }
    }
    crates
}

/// The module that a file is. `main.rs` is a crate of its own, which only uses the library.
fn module_of(path: &str) -> Option<Module> {
    let (_, inside) = path.strip_suffix(".rs")?.split_once("/src/")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    match inside {
        "main" => None,
        "lib" => Some(Vec::new()),
        _ => Some(inside.split('/').map(str::to_owned).collect()),
    }
}

/// Which files each file of a crate imports.
fn imports(files: &[SourceFile]) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules = files
        .iter()
        .filter_map(|file| Some((module_of(&file.path)?, file.path.as_str())))
        .collect::<BTreeMap<_, _>>();
    files
        .iter()
        .filter_map(|file| Some((file, module_of(&file.path)?)))
        .map(|(file, module)| {
            let mut named = named_modules(&without_tests(&file.code()), &module, &modules);
            named.remove(file.path.as_str());
            (file.path.as_str(), named)
        })
        .collect()
}

/// The files that a module's code names by a path.
fn named_modules<'a>(
    code: &str,
    module: &Module,
    modules: &BTreeMap<Module, &'a str>,
) -> BTreeSet<&'a str> {
    let (used, inline) = paths(code);
    let local = |path: &[String]| resolve(path, module, &BTreeMap::new(), modules);
    let names = used
        .iter()
        .filter_map(|(path, name)| Some((name.clone(), local(path)?)))
        .collect::<BTreeMap<_, _>>();
    let used = used.iter().filter_map(|(path, _)| local(path));
    let inline = inline.iter().filter_map(|path| resolve(path, module, &names, modules));
    let known = used.chain(inline).filter_map(|path| {
        let lengths = (0..=path.len()).rev();
        lengths.map(|length| &path[..length]).find_map(|prefix| modules.get(prefix).copied())
    });
    known.collect()
}

/// A path from the root of the crate, or nothing for another crate's.
fn resolve(
    path: &[String],
    module: &Module,
    names: &BTreeMap<String, Module>,
    modules: &BTreeMap<Module, &str>,
) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let mut from = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module.split_last()?.1.to_vec(),
        name => {
            let child = [module.as_slice(), &[name.to_owned()]].concat();
            match names.get(name) {
                Some(known) => known.clone(),
                None if modules.contains_key(&child) => child,
                None => return None,
            }
        }
    };
    for name in rest {
        if name == "super" {
            from.pop();
        } else {
            from.push(name.clone());
        }
    }
    Some(from)
}

/// Code with the items taken out that only tests have.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        kept.push_str(&rest[..start]);
        rest = &rest[start + MARK.len()..];
        let mut depth = 0_usize;
        let end = rest.find(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && matches!(c, '}' | ';')
        });
        rest = end.map_or("", |end| &rest[end + 1..]);
    }
    kept + rest
}

/// The paths that `use` brings in, each with its name here, and those that stand in the code.
fn paths(code: &str) -> (Vec<Import>, Vec<Vec<String>>) {
    let tokens = tokens(code);
    let (mut used, mut inline) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" {
            at += 1;
            tree(&tokens, &mut at, &[], &mut used);
        } else if is_name(tokens[at]) && tokens.get(at + 1) == Some(&"::") {
            let mut path = vec![tokens[at].to_owned()];
            while tokens.get(at + 1) == Some(&"::")
                && tokens.get(at + 2).is_some_and(|next| is_name(next))
            {
                path.push(tokens[at + 2].to_owned());
                at += 2;
            }
            inline.push(path);
        }
        at += 1;
    }
    (used, inline)
}

/// Reads one tree of `use`, and stops behind it.
fn tree(tokens: &[&str], at: &mut usize, before: &[String], used: &mut Vec<Import>) {
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match *token {
            "::" => {}
            "{" => {
                while tokens.get(*at).is_some_and(|token| *token != "}") {
                    tree(tokens, at, &path, used);
                    *at += usize::from(tokens.get(*at) == Some(&","));
                }
                *at += 1;
                return;
            }
            "as" => {
                used.push((path, tokens[*at].to_owned()));
                *at += 1;
                return;
            }
            name if is_name(name) => path.push(name.to_owned()),
            "*" => break,
            _ => {
                *at -= 1;
                break;
            }
        }
    }
    if path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if let Some(name) = path.last().cloned() {
        used.push((path, name));
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_name(rest) {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The files from which imports lead back to themselves.
fn in_circles<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let leads_back = |file: &&&str| !way_back(imports, file).is_empty();
    imports.keys().filter(leads_back).copied().collect()
}

fn shortest_circle<'a>(
    imports: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    found: &BTreeSet<&'a str>,
) -> Vec<&'a str> {
    let ways = found.iter().map(|file| way_back(imports, file));
    ways.min_by_key(Vec::len).unwrap_or_default()
}

/// The shortest way over imports from a file to itself.
fn way_back<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>, file: &str) -> Vec<&'a str> {
    let Some((start, _)) = imports.get_key_value(file) else { return Vec::new() };
    let mut came_from = BTreeMap::new();
    let mut next = VecDeque::from([*start]);
    while let Some(at) = next.pop_front() {
        for other in imports.get(at).into_iter().flatten() {
            if other == start {
                let mut way = vec![*start, at];
                while let Some(before) = came_from.get(way[way.len() - 1]) {
                    way.push(*before);
                }
                if at == *start {
                    way.pop();
                }
                way.reverse();
                way.push(*start);
                way.dedup();
                return way;
            }
            if *other != *start && !came_from.contains_key(other) {
                came_from.insert(*other, at);
                next.push_back(*other);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle(files: &[(&str, &str)]) -> Vec<String> {
        let files = files
            .iter()
            .map(|(path, text)| SourceFile {
                path: format!("crates/example/src/{path}"),
                text: (*text).to_owned(),
            })
            .collect::<Vec<_>>();
        let imports = imports(&files);
        let way = shortest_circle(&imports, &in_circles(&imports));
        way.iter()
            .map(|path| path.strip_prefix("crates/example/src/").unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_circle_is_found_over_several_files_and_named() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::{self, B as Other};"),
            ("b.rs", "fn f() { super::c::g(); }"),
            ("c.rs", "use std::fmt; use crate::{a::A};"),
        ];
        assert_eq!(circle(&files), ["a.rs", "b.rs", "c.rs", "a.rs"]);
    }

    #[test]
    fn a_room_head_that_only_declares_is_in_no_circle_and_one_that_uses_its_files_is() {
        let child = ("room/a.rs", "use super::Shared;");
        assert!(circle(&[("room/mod.rs", "pub mod a; pub struct Shared;"), child]).is_empty());
        let uses = ("room/mod.rs", "mod a; pub struct Shared; fn f() { a::g() }");
        assert_eq!(circle(&[uses, child]), ["room/a.rs", "room/mod.rs", "room/a.rs"]);
        let exports = ("room/mod.rs", "mod a; pub use a::A;");
        assert_eq!(circle(&[exports, child]).len(), 3);
    }

    #[test]
    fn the_name_of_an_imported_module_leads_to_it() {
        let files = [
            ("room/mod.rs", "pub mod a;"),
            ("room/a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::room::a as other; fn f() { other::g() }"),
        ];
        assert_eq!(circle(&files).len(), 3);
        let through_head = ("b.rs", "use crate::room; fn f() { room::a::g() }");
        assert_eq!(circle(&[files[0], files[1], through_head]).len(), 3);
    }

    #[test]
    fn tests_comments_and_other_crates_import_nothing() {
        let files = [
            ("a.rs", "use other::b::B; // crate::b\n#[cfg(test)]\nmod tests { use crate::b::B; }"),
            ("b.rs", "use crate::a::A; #[cfg(test)] use crate::b::C;"),
        ];
        assert!(circle(&files).is_empty());
    }
}

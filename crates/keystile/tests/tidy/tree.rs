//! The files of the repository, as the rules look at them.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no work of ours.
const NOT_OURS: [&str; 6] = ["target", ".git", "corpus", "artifacts", "coverage", "keystile-data"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap().to_owned()
}

/// A file of the repository.
pub(crate) struct SourceFile {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All files with an extension below some folders of the root, in order.
pub(crate) fn files(folders: &[&str], extension: &str) -> Vec<SourceFile> {
    let root = root();
    let mut paths = Vec::new();
    for folder in folders {
        gather(&root.join(folder), extension, &mut paths);
    }
    paths.sort();
    assert!(!paths.is_empty(), "there is no .{extension} file");
    let read = |path: PathBuf| SourceFile {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
    };
    paths.into_iter().map(read).collect()
}

fn gather(folder: &Path, extension: &str, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !NOT_OURS.contains(&name) {
                gather(&path, extension, paths);
            }
        } else if path.extension().is_some_and(|known| known == extension) {
            paths.push(path);
        }
    }
}

/// All Rust files.
pub(crate) fn rust() -> Vec<SourceFile> {
    files(&["crates", "bench", "fuzz"], "rs")
}

/// All documentation.
pub(crate) fn markdown() -> Vec<SourceFile> {
    files(&["."], "md")
}

/// The text of one file.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl SourceFile {
    /// Whether nothing but tests is in it.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The part of it that is tests.
    pub(crate) fn test_part(&self) -> &str {
        if self.is_test() {
            return &self.text;
        }
        let start = self.text.find("#[cfg(test)]\nmod ");
        start.map_or("", |start| &self.text[start..])
    }

    /// The text with comments and what stands in quotes taken out.
    pub(crate) fn code(&self) -> String {
        let mut code = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some(next) = rest.chars().next() {
            let skipped = skipped(rest);
            if skipped == 0 {
                code.push(next);
                rest = &rest[next.len_utf8()..];
            } else {
                code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
                rest = &rest[skipped..];
            }
        }
        code
    }
}

/// How many bytes of a comment or quoted text begin here.
fn skipped(text: &str) -> usize {
    let until = |end: &str, from: usize| {
        let found = text[from..].find(end);
        found.map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        until("\n", 2) - 1
    } else if text.starts_with("/*") {
        until("*/", 2)
    } else if text.starts_with("r#\"") {
        until("\"#", 3)
    } else if text.starts_with("'\"'") {
        3
    } else if let Some(quoted) = text.strip_prefix('"') {
        let mut is_escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        end.map_or(text.len(), |end| end + 2)
    } else {
        0
    }
}

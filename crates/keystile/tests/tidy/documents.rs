//! Rules on what people read: it names what exists, in our words, and its examples work.

use std::path::Path;

use keystile::config;

use crate::tree::{files, markdown, read, root};

#[test]
fn every_path_in_the_architecture_exists() {
    let text = read("ARCHITECTURE.md");
    let paths = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.contains('/') && !code.contains([' ', '\n']) && !code.starts_with('/'))
        .filter(|code| code.split('/').next().is_some_and(is_top_folder))
        .collect::<Vec<_>>();
    assert!(paths.len() > 20, "the architecture names files");
    for path in paths {
        assert!(root().join(path).exists(), "there is no {path}");
    }
}

fn is_top_folder(name: &str) -> bool {
    ["crates", "docs", "bench", "fuzz", "examples", "packaging"].contains(&name)
        || name.starts_with('.')
}

#[test]
fn every_folder_is_on_the_map() {
    let text = read("ARCHITECTURE.md");
    for folder in ["crates", ""] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let is_on_map = |name: &str| text.contains(&format!("| `{name}` |"));
            let is_tool =
                matches!(name.as_str(), "target" | ".git" | ".github" | ".config" | ".cargo");
            if entry.path().is_dir() && !is_tool && !name.starts_with("keystile-data") {
                let path = Path::new(folder).join(&name);
                let path = path.to_str().unwrap();
                assert!(
                    path == "crates" || is_on_map(path),
                    "{path} is not on the map of ARCHITECTURE.md"
                );
            }
        }
    }
}

/// The targets of a document's links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.split("](").skip(1);
    ends.filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// The anchors of a document's headings, as code forges make them.
fn anchors(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()))
        .map(|heading| {
            heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    for document in markdown() {
        let folder = root().join(&document.path);
        let folder = folder.parent().unwrap();
        for link in links(&document.text) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = folder.join(path);
            assert!(path.is_empty() || target.exists(), "{}: {link} leads nowhere", document.path);
            if anchor.is_empty() {
                continue;
            }
            let text = match path {
                "" => document.text.clone(),
                _ => std::fs::read_to_string(target).unwrap(),
            };
            assert!(
                anchors(&text).iter().any(|known| known == anchor),
                "{}: there is no heading for {link}",
                document.path
            );
        }
    }
}

#[test]
fn documents_use_the_words_of_the_glossary() {
    let mut named = Vec::new();
    for document in markdown() {
        let text = document.text.to_lowercase();
        // A setting of another program has the name that it has there.
        let is_between = |c: char| !c.is_alphanumeric() && c != '_';
        for word in text.split(is_between) {
            assert!(
                !matches!(word, "consumer" | "consumers" | "endpoint" | "endpoints"),
                "{}: {word} is not our word",
                document.path
            );
            if matches!(word, "tier" | "tiers") {
                named.push(document.path.clone());
            }
        }
    }
    assert!(
        named.len() <= 1,
        "a plan is called an access tier once, for those who know it by that word: {named:?}"
    );
}

#[test]
fn the_changes_have_a_place_for_the_next_ones() {
    let text = read("CHANGELOG.md");
    let first = text.lines().find(|line| line.starts_with("## "));
    assert_eq!(first, Some("## Unreleased"));
}

#[test]
fn decisions_are_numbered_and_whole() {
    let decisions = files(&["docs/decisions"], "md");
    for (place, decision) in decisions.iter().enumerate() {
        let number = format!("{:04}", place + 1);
        let name = decision.path.rsplit('/').next().unwrap();
        assert!(name.starts_with(&number), "{name} is not number {number}");
        let title = format!("# {number}: ");
        assert!(decision.text.starts_with(&title), "{name} has no title");
        for part in ["Context", "Decision", "Consequences", "Alternatives"] {
            let heading = format!("\n## {part}\n");
            assert!(decision.text.contains(&heading), "{name} has no {part}");
        }
    }
}

/// The blocks of a language in a document.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    let starts = text.split(start.as_str()).skip(1);
    starts.filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
}

#[test]
fn the_configuration_in_the_readme_is_good() {
    let text = read("README.md");
    let blocks = blocks(&text, "toml");
    assert!(!blocks.is_empty(), "the README shows a configuration");
    for block in blocks {
        let configuration = config::from_text(block, "README.md", Path::new(""));
        let configuration = configuration.unwrap_or_else(|report| panic!("{report:?}"));
        assert!(configuration.warnings.is_empty());
    }
}

#[test]
fn the_parts_of_a_configuration_in_the_guide_can_be_read() {
    for block in blocks(&read("docs/guide.md"), "toml") {
        let parsed = block.parse::<toml::Table>();
        assert!(parsed.is_ok(), "{parsed:?}\n{block}");
    }
}

#[test]
fn every_example_is_a_good_configuration() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["fullchain.pem", "key.pem", "internal-ca.pem"] {
        std::fs::write(folder.path().join(file), "-----BEGIN CERTIFICATE-----\n").unwrap();
    }
    let examples = files(&["examples"], "toml");
    assert!(examples.len() >= 4);
    let list = read("examples/README.md");
    for example in examples {
        let configuration = config::from_text(&example.text, &example.path, folder.path());
        let configuration = configuration.unwrap_or_else(|report| panic!("{report:?}"));
        assert!(
            configuration.warnings.is_empty(),
            "{}: {:?}",
            example.path,
            configuration.warnings
        );
        let name = example.path.rsplit('/').next().unwrap();
        assert!(list.contains(name), "{name} is not in examples/README.md");
    }
}

//! The contract with 3scale's clients: each line of its table has a test, and nothing is left out of it.

use crate::tree::{SourceFile, files, read};

const CONTRACT: &str = "docs/threescale.md";

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The cells of each line of the tables, without their heads.
fn lines(contract: &str) -> Vec<Vec<&str>> {
    let lines = contract.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let lines = lines.map(|line| line.split(" | ").collect::<Vec<_>>());
    lines.filter(|cells| cells.get(1) != Some(&"how")).collect()
}

#[test]
fn each_line_of_the_contract_with_3scale_says_how_and_names_its_tests() {
    let contract = read(CONTRACT);
    let sources = files(&["crates/threescale", "crates/keystile/tests/it"], "rs");
    let tests = sources.iter().map(SourceFile::test_part).collect::<Vec<_>>();
    let lines = lines(&contract);
    assert!(lines.len() > 90, "the contract is long");
    for cells in lines {
        let [what, how, held_by] = cells.as_slice() else { panic!("not three cells: {cells:?}") };
        let is_said =
            ["as 3scale", "better: ", "not supported: "].iter().any(|s| how.starts_with(s));
        assert!(is_said, "{what}: {how:?} is no way to follow 3scale");
        assert!(quoted(held_by).next().is_some(), "{what}: no test holds it");
        for test in quoted(held_by) {
            let function = format!("fn {test}(");
            let is_there = tests.iter().any(|text| text.contains(&function));
            assert!(is_there, "{what}: there is no test {test}");
        }
    }
}

#[test]
fn every_path_of_the_internal_api_is_in_the_contract() {
    let contract = read(CONTRACT);
    let mut count = 0_usize;
    for file in files(&["crates/threescale/src/server/internal"], "rs") {
        let documented = file.text.lines().filter_map(|line| line.strip_prefix("/// `"));
        let paths = documented.filter_map(|line| Some(line.split_once('`')?.0));
        for path in paths.filter(|path| path.contains(" /")) {
            assert!(contract.contains(&format!("`{path}`")), "{path} is not in {CONTRACT}");
            count = count.saturating_add(1);
        }
    }
    assert!(count > 30, "each function that answers says its path");
}

#[test]
fn every_code_of_3scales_errors_is_in_the_contract() {
    let contract = read(CONTRACT);
    let errors = read("crates/threescale/src/backend/error.rs");
    let is_code = |text: &&str| {
        text.contains('_') && text.chars().all(|c| c == '_' || c.is_ascii_lowercase())
    };
    let codes = errors.split('"').skip(1).step_by(2).filter(is_code).collect::<Vec<_>>();
    assert!(codes.len() > 20, "the codes stand in one table");
    for code in codes {
        assert!(contract.contains(&format!("`{code}`")), "{code} is not in {CONTRACT}");
    }
}

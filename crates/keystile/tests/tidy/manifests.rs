//! Rules on manifests: who may depend on whom.

use toml::{Table, Value};

use crate::tree::{read, root};

/// The crates, lowest first. One depends only on crates of lower layers, so two doors never know each
/// other. The stand-in for a foreign system is at the bottom, since it knows nothing of ours and is for the
/// tests of all.
const LAYERS: [&[&str]; 5] = [
    &["core", "threescale-standin"],
    &["store"],
    &["engine"],
    &["proxy", "web", "notify", "threescale"],
    &["keystile"],
];

fn manifest(path: &str) -> Table {
    read(path).parse().unwrap()
}

fn crates() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("crates")).unwrap();
    let mut names = folders
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect::<Vec<_>>();
    names.sort();
    names
}

fn layer(name: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&name));
    found.unwrap_or_else(|| panic!("crates/{name} has no place in the layers"))
}

/// Our crates in a table of dependencies, by folder.
fn ours(manifest: &Table, table: &str) -> Vec<String> {
    let names = manifest.get(table).and_then(Value::as_table);
    names
        .into_iter()
        .flat_map(Table::keys)
        .filter_map(|name| Some(name.strip_prefix("keystile-")?.to_owned()))
        .collect()
}

#[test]
fn dependencies_point_down_only() {
    for name in crates() {
        let manifest = manifest(&format!("crates/{name}/Cargo.toml"));
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for other in ours(&manifest, table) {
                assert!(
                    layer(&other) < layer(&name),
                    "crates/{name} may not depend on crates/{other}"
                );
            }
        }
    }
}

#[test]
fn every_crate_keeps_the_rules_of_the_workspace() {
    for name in crates() {
        let manifest = manifest(&format!("crates/{name}/Cargo.toml"));
        let inherits = |value: Option<&Value>| {
            let value = value.and_then(|value| value.get("workspace"));
            value.and_then(Value::as_bool) == Some(true)
        };
        assert!(inherits(manifest.get("lints")), "crates/{name}: lints");
        let package = manifest["package"].as_table().unwrap();
        for key in ["version", "edition", "rust-version", "license"] {
            assert!(inherits(package.get(key)), "crates/{name}: {key}");
        }
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let dependencies = manifest.get(table).and_then(Value::as_table);
            for (dependency, value) in dependencies.into_iter().flatten() {
                assert!(
                    inherits(Some(value)),
                    "crates/{name}: the version of {dependency} belongs into the workspace"
                );
            }
        }
    }
}

#[test]
fn the_workspace_forbids_unsafe_code() {
    let lints = &manifest("Cargo.toml")["workspace"]["lints"];
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let bench = &manifest("bench/Cargo.toml")["lints"];
    assert_eq!(bench["rust"]["unsafe_code"].as_str(), Some("forbid"));
}

#[test]
fn every_dependency_of_the_workspace_is_used() {
    let workspace = manifest("Cargo.toml");
    let known = workspace["workspace"]["dependencies"].as_table().unwrap();
    let manifests = crates()
        .iter()
        .map(|name| manifest(&format!("crates/{name}/Cargo.toml")))
        .collect::<Vec<_>>();
    for name in known.keys() {
        let is_used = manifests.iter().any(|manifest| {
            ["dependencies", "dev-dependencies", "build-dependencies"].iter().any(|table| {
                let table = manifest.get(*table).and_then(Value::as_table);
                table.is_some_and(|table| table.contains_key(name))
            })
        });
        assert!(is_used, "no crate uses {name}");
    }
}

//! The form of the file as data: for editors, for messages, and for the reference.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::path::Step;
use super::raw::File;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    without_null(&mut schema);
    schema
});

/// The JSON schema of the configuration file.
pub fn schema() -> Value {
    SCHEMA.clone()
}

/// Takes out what schemars says of `Option`: TOML has no null, a key is there or not.
fn without_null(value: &mut Value) {
    match value {
        Value::Array(entries) => entries.iter_mut().for_each(without_null),
        Value::Object(fields) => {
            fields.values_mut().for_each(without_null);
            if fields.get("default") == Some(&Value::Null) {
                fields.remove("default");
            }
            // What integers look like in Rust says nothing to the reader of a schema.
            fields.remove("format");
            flatten_type(fields);
            flatten_choice(fields);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn flatten_type(fields: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = fields.get_mut("type") else {
        return;
    };
    types.retain(|name| name != "null");
    if let [only] = types.as_slice() {
        let only = only.clone();
        fields.insert("type".to_owned(), only);
    }
}

fn flatten_choice(fields: &mut Map<String, Value>) {
    let is_null = |choice: &Value| choice.get("type") == Some(&Value::from("null"));
    let Some(Value::Array(choices)) = fields.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| !is_null(choice));
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        fields.remove("anyOf");
        for (name, value) in only {
            fields.entry(name).or_insert(value);
        }
    }
}

/// The schema of the value at a path.
pub(super) fn at(path: &[Step]) -> Option<&'static Value> {
    path.iter().try_fold(&*SCHEMA, |node, step| match step {
        Step::Key(key) => shapes(node).find_map(|shape| {
            shape
                .get("properties")
                .and_then(|keys| keys.get(key))
                .or_else(|| shape.get("additionalProperties").filter(|any| any.is_object()))
        }),
        Step::Index(_) => shapes(node).find_map(|shape| shape.get("items")),
    })
}

/// A schema and the alternatives in it.
fn shapes(node: &'static Value) -> impl Iterator<Item = &'static Value> {
    let choices =
        ["anyOf", "oneOf"].into_iter().filter_map(|name| node.get(name)?.as_array()).flatten();
    std::iter::once(node).chain(choices.flat_map(|choice| {
        let nested = ["anyOf", "oneOf"].into_iter().filter_map(|name| choice.get(name)?.as_array());
        let nested = nested.flatten();
        std::iter::once(choice).chain(nested)
    }))
}

/// Whether the value at a path can be written as an array.
pub(super) fn takes_array(path: &[Step]) -> bool {
    at(path).is_some_and(|node| shapes(node).any(|shape| shape.get("items").is_some()))
}

/// Of the ways in which a value can be written, the table.
pub(super) fn table_shape(node: &'static Value) -> Option<&'static Value> {
    shapes(node).find(|shape| shape.get("properties").is_some())
}

/// The keys of the table at a path.
pub(super) fn keys(path: &[Step]) -> Vec<&'static str> {
    at(path).map(keys_of).unwrap_or_default()
}

fn keys_of(node: &'static Value) -> Vec<&'static str> {
    shapes(node)
        .filter_map(|shape| shape.get("properties")?.as_object())
        .flat_map(|keys| keys.keys().map(String::as_str))
        .collect()
}

/// The words that the value at a path may be.
pub(super) fn words(path: &[Step]) -> Vec<&'static str> {
    let constants = |shape: &'static Value| {
        let listed = shape.get("enum").and_then(Value::as_array).into_iter().flatten();
        shape.get("const").into_iter().chain(listed).filter_map(Value::as_str)
    };
    at(path).into_iter().flat_map(shapes).flat_map(constants).collect()
}

/// One table of the file, as headings and messages name it.
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) path: Vec<Step>,
}

/// Every table of the file, in the order of the reference.
pub(super) fn tables() -> Vec<Table> {
    let table = |title, keys: &[&str]| Table {
        title,
        path: keys
            .iter()
            .map(|key| if *key == "0" { Step::Index(0) } else { Step::Key((*key).to_owned()) })
            .collect(),
    };
    vec![
        table("the top of the file", &[]),
        table("[gate]", &["gate"]),
        table("[gate] tls", &["gate", "tls"]),
        table("[console]", &["console"]),
        table("[console] tls", &["console", "tls"]),
        table("[threescale_backend]", &["threescale_backend"]),
        table("[threescale_backend] tls", &["threescale_backend", "tls"]),
        table("[threescale_backend] internal", &["threescale_backend", "internal"]),
        table("[threescale_backend] gateways", &["threescale_backend", "gateways"]),
        table("[keys]", &["keys"]),
        table("[journal]", &["journal"]),
        table("[api.NAME]", &["api", "NAME"]),
        table("[api.NAME] key_pair", &["api", "NAME", "key_pair"]),
        table("[[api.NAME.operation]]", &["api", "NAME", "operation", "0"]),
        table("[plan.NAME]", &["plan", "NAME"]),
        table("[plan.NAME] write_budget", &["plan", "NAME", "write_budget", "0"]),
        table("[plan.NAME] lock", &["plan", "NAME", "lock"]),
        table("[watch.NAME]", &["watch", "NAME"]),
        table("[channel.NAME]", &["channel", "NAME"]),
        table("[channel.NAME] smtp", &["channel", "NAME", "smtp"]),
        table("[threescale.NAME]", &["threescale", "NAME"]),
    ]
}

/// The tables that have a key, other than the one at a path.
pub(super) fn tables_with(key: &str) -> Vec<&'static str> {
    tables()
        .into_iter()
        .filter(|table| keys(&table.path).contains(&key))
        .map(|table| table.title)
        .collect()
}

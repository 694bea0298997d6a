//! What the description of the API says about limits is what is enforced, in both directions.

use http::Method;
use keystile_core::owners::scope::Scope;
use serde_json::{Map, Value, json};

use crate::test_console::{TestAnswer, TestConsole};

/// A schema of the description, its reference followed.
fn followed<'a>(whole: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(path) => whole.pointer(path.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// A property of a body: where it goes, how, and beside what that is right.
#[derive(Debug)]
struct Property {
    method: Method,
    path: String,
    name: String,
    schema: Value,
    others: Map<String, Value>,
}

/// A value that the operation understands, also where nothing fits it.
fn usual(name: &str) -> Value {
    json!(match name {
        "plan" => "open",
        "level" => "writes",
        "budgets" => "keep",
        "scope" => "read",
        "for" | "grace" => "1 day",
        _ => "something",
    })
}

fn bodies(whole: &Value, key: &str) -> Vec<Property> {
    let mut found = Vec::new();
    for (path, methods) in whole["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            let schema = followed(whole, body);
            let alone = vec![schema.clone()];
            for variant in schema["oneOf"].as_array().unwrap_or(&alone) {
                let Some(properties) = variant["properties"].as_object() else { continue };
                for (name, property) in properties {
                    let others = properties.keys().filter(|other| *other != name);
                    found.push(Property {
                        method: method.to_uppercase().parse().unwrap(),
                        path: path.replace("{key}", key).replace("{application}", "reader"),
                        name: name.clone(),
                        schema: followed(whole, property).clone(),
                        others: others.map(|other| (other.clone(), usual(other))).collect(),
                    });
                }
            }
        }
    }
    found
}

impl Property {
    async fn sent(&self, console: &TestConsole, token: &str, value: Value) -> TestAnswer {
        let mut body = self.others.clone();
        body.insert(self.name.clone(), value);
        let ask = console.ask(self.method.clone(), &self.path).token(token);
        ask.json(Value::Object(body)).send().await
    }
}

#[tokio::test]
async fn every_text_that_a_body_takes_has_its_limits_in_the_description_and_they_are_enforced() {
    let console = TestConsole::new();
    let key = console.key("reader").await;
    let token = console.token(Scope::Admin).await;
    let whole = console.get("/api/openapi.json").token(&token).send().await.good();
    let properties = bodies(&whole, &key);
    assert!(properties.len() > 12, "{properties:?}");
    for property in &properties {
        let schema = &property.schema;
        let name = format!("{} {} {}", property.method, property.path, property.name);
        let limits = ["enum", "maxLength", "pattern", "minLength"];
        assert!(limits.iter().any(|limit| !schema[limit].is_null()), "{name} has no limit");
        let mut wrong = Vec::new();
        if !schema["enum"].is_null() {
            wrong.push(json!("no such thing"));
        }
        if let Some(least) = schema["minLength"].as_u64() {
            assert_eq!(least, 1);
            wrong.push(json!(""));
        }
        if let Some(most) = schema["maxLength"].as_u64() {
            let most = usize::try_from(most).unwrap();
            wrong.push(json!("x".repeat(most + 1)));
            let told = property.sent(&console, &token, json!("x".repeat(most))).await;
            assert!(told.status.is_success(), "{name}: {told:?}");
            // What a pattern does not tell of all.
            wrong.extend(
                ["a\u{202e}b", "a\u{200b}b", "a\u{7}b", "\u{2066}", "\u{e0041}"].map(Value::from),
            );
        } else if !schema["pattern"].is_null() {
            wrong.extend(["soon", "1", "", "1 fortnight", "401 days"].map(Value::from));
        }
        for value in wrong {
            let told = property.sent(&console, &token, value.clone()).await;
            assert!([400, 422].contains(&told.status.as_u16()), "{name}: {value}: {told:?}");
        }
    }
}

#[tokio::test]
async fn the_limits_of_parameters_in_the_description_are_enforced() {
    let console = TestConsole::new();
    let token = console.token(Scope::Admin).await;
    let whole = console.get("/api/openapi.json").token(&token).send().await.good();
    let mut tried = 0;
    for (path, methods) in whole["paths"].as_object().unwrap() {
        for parameter in methods["get"]["parameters"].as_array().into_iter().flatten() {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let mut wrong: Vec<String> = Vec::new();
            let mut right: Vec<String> = Vec::new();
            if let (Some(least), Some(most)) =
                (schema["minimum"].as_i64(), schema["maximum"].as_i64())
            {
                right.extend([least.to_string(), most.to_string()]);
                wrong.extend([(least - 1).to_string(), (most + 1).to_string()]);
            }
            for value in schema["enum"].as_array().into_iter().flatten() {
                right.push(value.as_str().unwrap().to_owned());
                wrong = vec!["nosuch".to_owned()];
            }
            if !schema["minLength"].is_null() {
                wrong.push(String::new());
            }
            if !schema["pattern"].is_null() {
                wrong.push("x".to_owned());
            }
            for (values, is_right) in [(right, true), (wrong, false)] {
                for value in values {
                    let told =
                        console.get(&format!("{path}?{name}={value}")).token(&token).send().await;
                    assert_eq!(
                        told.status.is_success(),
                        is_right,
                        "{path}?{name}={value}: {told:?}"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 60, "only {tried}");
}

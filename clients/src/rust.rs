//! threescalers, from crates.io: it makes requests and reads answers, and leaves it to its user to send them.

use std::str::FromStr;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use threescalers::api_call::{ApiCall, Kind};
use threescalers::application::{AppId, AppKey, Application};
use threescalers::credentials::{Credentials, ProviderKey, ServiceToken};
use threescalers::extensions::List;
use threescalers::http::Request;
use threescalers::response::{Authorization, AuthorizationStatus};
use threescalers::service::Service;
use threescalers::transaction::Transaction;
use threescalers::usage::Usage;

use crate::backend::Place;
use crate::{Backend, Client};

/// The client.
pub struct ThreeScalers {
    place: Place,
}

impl ThreeScalers {
    pub fn new(backend: &Backend) -> Self {
        Self { place: backend.place.clone() }
    }

    fn send(&self, request: &Request) -> Result<String> {
        let (target, body) = request.uri_and_body();
        let method = request.method.as_str();
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.place.address);
        for (name, value) in request.headers.iter() {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        // As its own integrations do, this says nothing of the type of a form.
        let body = body.unwrap_or_default();
        let length = body.len();
        text.push_str(&format!("Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"));
        self.place.exchange(&text)
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().map(str::to_owned)
}

fn credentials(call: &Value) -> Result<Credentials> {
    let given = &call["credentials"];
    Ok(match text(given, "provider_key") {
        Some(key) => Credentials::ProviderKey(ProviderKey::from(key)),
        None => {
            let token = text(given, "service_token").context("credentials")?;
            Credentials::ServiceToken(ServiceToken::from(token))
        }
    })
}

fn application(call: &Value) -> Result<Application> {
    let given = &call["application"];
    if let Some(key) = text(given, "user_key") {
        return Ok(Application::from_user_key(key));
    }
    let id = text(given, "app_id").context("an application")?;
    Ok(match text(given, "app_key") {
        Some(key) => Application::from_app_id_and_key(AppId::from(id), AppKey::from(key)),
        None => Application::from_app_id(AppId::from(id)),
    })
}

fn told(status: &AuthorizationStatus) -> Value {
    let mut usage = Map::new();
    for report in status.usage_reports().into_iter().flatten() {
        let name =
            format!("{}/{}", report.metric(), format!("{:?}", report.period()).to_lowercase());
        usage.insert(name, json!([report.current_value(), report.max_value()]));
    }
    json!({ "authorized": status.is_authorized(), "reason": status.reason(), "plan": status.plan(),
        "usage": usage, "has_hierarchy": status.hierarchy().is_some() })
}

impl Client for ThreeScalers {
    fn call(&mut self, call: &Value) -> Result<Value> {
        let id = text(&call["credentials"], "service_id").context("a service")?;
        let service = Service::new(id, credentials(call)?);
        let application = application(call)?;
        let usage = call["usage"].as_object().context("a usage")?;
        let usage: Vec<_> =
            usage.iter().map(|(metric, amount)| (metric.clone(), amount.to_string())).collect();
        let usage = Usage::new(&usage);
        let transactions = [Transaction::new(&application, None, Some(&usage), None)];
        let extensions = List::new().hierarchy();
        let kind = match call["call"].as_str() {
            Some("authorize") => Kind::Authorize,
            Some("authrep") => Kind::AuthRep,
            _ => Kind::Report,
        };
        let mut builder = ApiCall::builder(&service);
        let call =
            builder.transactions(&transactions).extensions(&extensions).kind(kind).build()?;
        let answer = self.send(&Request::from(&call))?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        if kind == Kind::Report && body.is_empty() {
            return Ok(json!({ "authorized": head.starts_with("HTTP/1.1 202 ") }));
        }
        Ok(match Authorization::from_str(body) {
            Ok(Authorization::Status(status)) => told(&status),
            Ok(Authorization::Error(error)) => {
                json!({ "authorized": false, "reason": error.description(), "code": error.code() })
            }
            Err(error) => json!({ "raised": error.to_string() }),
        })
    }
}

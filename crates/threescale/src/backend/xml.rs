//! The bodies of answers: elements without anything between them, in the reference's order.
//!
//! Gateways read them with anything from a parser to a regular expression, so order and quotes are part of the
//! contract. Unlike in the reference, every text is escaped, a referrer in a reason too.

use std::fmt::Write as _;

use super::decide::{Decision, UsageReport};
use super::error::RequestError;
use super::options::Options;
use super::period::{Period, push_time};

const DECLARATION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// How many keys an answer lists.
const APP_KEYS_MAX: usize = 256;

/// The body of an error.
pub fn error_body(error: &RequestError) -> String {
    let mut xml = String::with_capacity(128);
    xml.push_str(DECLARATION);
    xml.push_str("<error code=\"");
    push_attribute(&mut xml, error.code());
    xml.push_str("\">");
    push_text(&mut xml, &error.to_string());
    xml.push_str("</error>");
    xml
}

/// The body of a decision.
pub fn status_body(decision: &Decision<'_>, options: Options) -> String {
    let mut xml = String::with_capacity(1024);
    xml.push_str(DECLARATION);
    xml.push_str("<status>");
    match &decision.rejection {
        None => xml.push_str("<authorized>true</authorized>"),
        Some(rejection) => {
            xml.push_str("<authorized>false</authorized>");
            push_element(&mut xml, "reason", &rejection.to_string());
        }
    }
    if decision.operation.is_oauth() {
        push_application(&mut xml, decision);
    }
    push_element(&mut xml, "plan", &decision.application.plan.name);
    if !decision.reports.is_empty() {
        xml.push_str("<usage_reports>");
        for report in &decision.reports {
            push_usage_report(&mut xml, report);
        }
        xml.push_str("</usage_reports>");
    }
    if options.list_app_keys {
        push_app_keys(&mut xml, decision);
    }
    if options.hierarchy {
        push_hierarchy(&mut xml, decision);
    }
    xml.push_str("</status>");
    xml
}

fn push_application(xml: &mut String, decision: &Decision<'_>) {
    let application = decision.application;
    xml.push_str("<application>");
    push_element(xml, "id", &application.id);
    let key = application.keys.iter().find_map(|key| key.shown.as_deref());
    push_element(xml, "key", key.unwrap_or_default());
    let address = application.redirect_url.as_deref();
    push_element(xml, decision.redirect_field, address.unwrap_or_default());
    xml.push_str("</application>");
}

fn push_usage_report(xml: &mut String, report: &UsageReport<'_>) {
    xml.push_str("<usage_report metric=\"");
    push_attribute(xml, report.metric);
    xml.push_str("\" period=\"");
    xml.push_str(report.limit.period.name());
    xml.push_str(if report.is_exceeded() { "\" exceeded=\"true\">" } else { "\">" });
    if report.limit.period != Period::Eternity {
        xml.push_str("<period_start>");
        push_time(xml, report.window.start);
        xml.push_str("</period_start><period_end>");
        push_time(xml, report.window.end);
        xml.push_str("</period_end>");
    }
    write!(
        xml,
        "<max_value>{}</max_value><current_value>{}</current_value></usage_report>",
        report.limit.max, report.current
    )
    .expect("a String takes all that is written");
}

fn push_app_keys(xml: &mut String, decision: &Decision<'_>) {
    xml.push_str("<app_keys app=\"");
    push_attribute(xml, &decision.application.id);
    xml.push_str("\" svc=\"");
    push_attribute(xml, &decision.service.id);
    xml.push_str("\">");
    let keys = decision.application.keys.iter().filter_map(|key| key.shown.as_deref());
    for key in keys.take(APP_KEYS_MAX) {
        xml.push_str("<key id=\"");
        push_attribute(xml, key);
        xml.push_str("\"/>");
    }
    xml.push_str("</app_keys>");
}

/// A metric stands there once for each of its limits, as in the reference.
fn push_hierarchy(xml: &mut String, decision: &Decision<'_>) {
    let metrics = &decision.service.metrics;
    xml.push_str("<hierarchy>");
    for report in &decision.reports {
        xml.push_str("<metric name=\"");
        push_attribute(xml, report.metric);
        xml.push_str("\" children=\"");
        for (place, child) in metrics.children(report.limit.metric).iter().enumerate() {
            if place > 0 {
                xml.push(' ');
            }
            push_attribute(xml, &metrics.metric(*child).name);
        }
        xml.push_str("\"/>");
    }
    xml.push_str("</hierarchy>");
}

fn push_element(xml: &mut String, name: &str, text: &str) {
    xml.push('<');
    xml.push_str(name);
    xml.push('>');
    push_text(xml, text);
    xml.push_str("</");
    xml.push_str(name);
    xml.push('>');
}

/// Writes the text of an element, in which quotes stand as they are.
fn push_text(xml: &mut String, text: &str) {
    push_escaped(xml, text, |c| match c {
        '"' | '\t' | '\n' => None,
        c => escape(c),
    });
}

/// Writes the value of an attribute in double quotes.
fn push_attribute(xml: &mut String, text: &str) {
    push_escaped(xml, text, escape);
}

fn push_escaped(xml: &mut String, text: &str, escape: impl Fn(char) -> Option<&'static str>) {
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let Some(escaped) = escape(c) else { continue };
        xml.push_str(&text[plain..at]);
        xml.push_str(escaped);
        plain = at.saturating_add(c.len_utf8());
    }
    xml.push_str(&text[plain..]);
}

/// What stands for a character, so that it reads back; U+FFFD for what XML 1.0 cannot hold.
const fn escape(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\t' => Some("&#9;"),
        '\n' => Some("&#10;"),
        '\r' => Some("&#13;"),
        '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => Some("\u{fffd}"),
        _ => None,
    }
}

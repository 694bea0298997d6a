//! What chats and phone services are sent, within the limits that they publish.
//!
//! A text is escaped and cut in one step, so that no escape is cut in half. Lengths are counted in
//! UTF-16 units, which is how most of them count and never less than characters, and in bytes where a
//! service says so. Nobody is mentioned: each payload says so where its format can, and escapes what
//! would mention where it cannot. Links are plain links: a button that calls back would act without a
//! person reading what it does.

use serde_json::{Value, json};

use super::{Shown, fitted, text, utf16};
use crate::message::{Message, Urgency};

/// Slack: a header has 150 characters, a section's text 3000, a field's 2000, a section 10 fields.
/// <https://docs.slack.dev/reference/block-kit/blocks>
mod slack_limits {
    pub(super) const HEADER: usize = 150;
    pub(super) const SECTION: usize = 3000;
    pub(super) const FIELD: usize = 2000;
    pub(super) const FIELDS: usize = 10;
}

/// Discord: an embed's title has 256 characters, its description 4096, it has 25 fields with names of
/// 256 and values of 1024, and all of it together 6000.
/// <https://discord.com/developers/docs/resources/message#embed-object-embed-limits>
mod discord_limits {
    pub(super) const TITLE: usize = 256;
    pub(super) const DESCRIPTION: usize = 2400;
    pub(super) const NAME: usize = 80;
    pub(super) const VALUE: usize = 190;
}

/// ntfy: a message over 4096 bytes becomes an attachment, so the whole document stays below; 3 actions.
/// <https://docs.ntfy.sh/config/#message-limits>
const NTFY_BYTES: usize = 4096;
const NTFY_ACTIONS: usize = 3;
/// Telegram: 4096 UTF-16 units after entities. <https://core.telegram.org/bots/api#sendmessage>
const TELEGRAM_TEXT: usize = 4096;
/// Pushover: title 250, message 1024, url 512, `url_title` 100. <https://pushover.net/api#limits>
const PUSHOVER_TITLE: usize = 250;
const PUSHOVER_MESSAGE: usize = 1024;
const PUSHOVER_URL: usize = 512;
const PUSHOVER_URL_TITLE: usize = 100;

/// Blocks for an incoming webhook of Slack.
pub(crate) fn slack(shown: &Shown) -> Value {
    use slack_limits::{FIELD, FIELDS, HEADER, SECTION};
    let mrkdwn = |text: &str, max| json!({ "type": "mrkdwn", "text": fitted(text, max, utf16, in_mrkdwn), "verbatim": true });
    let mut blocks = vec![
        json!({ "type": "header", "text": {
            "type": "plain_text", "emoji": false,
            "text": fitted(&shown.title, HEADER, utf16, String::from),
        }}),
        json!({ "type": "section", "text": mrkdwn(&shown.sentence, SECTION) }),
    ];
    if !shown.facts.is_empty() {
        let facts = shown.facts.iter().take(FIELDS);
        let facts = facts.map(|(name, value)| mrkdwn(&format!("{name}\n{value}"), FIELD));
        blocks.push(json!({ "type": "section", "fields": facts.collect::<Vec<_>>() }));
    }
    if !shown.writes.is_empty() {
        blocks.push(json!({ "type": "section", "text": mrkdwn(&last_writes(shown), SECTION) }));
    }
    // Buttons of an app without an interactivity address show a warning when clicked; links do not.
    let links = shown.links.iter().map(|link| {
        let label = fitted(&link.label, 75, utf16, in_mrkdwn);
        format!("<{}|{label}>", link.url.replace('&', "&amp;"))
    });
    let links = whole_within(links, " · ", SECTION);
    if !links.is_empty() {
        let text = json!({ "type": "mrkdwn", "text": links, "verbatim": true });
        blocks.push(json!({ "type": "section", "text": text }));
    }
    json!({
        // What notifications show; blocks are what the channel shows.
        "text": fitted(&shown.title, SECTION, utf16, in_mrkdwn),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// An embed for a webhook of Discord.
pub(crate) fn discord(shown: &Shown, message: &Message) -> Value {
    use discord_limits::{DESCRIPTION, NAME, TITLE, VALUE};
    let color = match message.urgency {
        Urgency::High => 0x00c0_392b,
        Urgency::Normal => 0x001f_5fbf,
        Urgency::Low => 0x007f_8c8d,
    };
    let links = shown
        .links
        .iter()
        .map(|link| format!("[{}]({})", fitted(&link.label, NAME, utf16, in_markdown), link.url));
    let links = whole_within(links, " · ", DESCRIPTION / 2);
    let mut said = shown.sentence.clone();
    if !shown.writes.is_empty() {
        said.push('\n');
        said.push_str(&last_writes(shown));
    }
    let room = DESCRIPTION - utf16(&links) - 2;
    let said = fitted(&said, room, utf16, in_markdown);
    // A value may not be empty.
    let facts = shown.facts.iter().filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let fields = facts.map(|(name, value)| {
        json!({
            "name": fitted(name, NAME, utf16, in_markdown),
            "value": fitted(value, VALUE, utf16, in_markdown),
            "inline": true,
        })
    });
    let mut embed = json!({
        "title": fitted(&shown.title, TITLE, utf16, in_markdown),
        "description": format!("{said}\n\n{links}").trim_end(),
        "color": color,
        "timestamp": message.time.to_string(),
        "fields": fields.collect::<Vec<_>>(),
    });
    if let Some(link) = shown.view() {
        embed["url"] = json!(link.url);
    }
    json!({ "username": "Keystile", "embeds": [embed], "allowed_mentions": { "parse": [] } })
}

/// An adaptive card for a workflow of Teams. At most 28 KB, which the bounds of [`Shown`] keep.
/// <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook>
pub(crate) fn teams(shown: &Shown) -> Value {
    // A rich text block takes its runs as they are; a text block and a fact set would obey Markdown.
    let run =
        |text: &str, weight: &str| json!({ "type": "TextRun", "text": text, "weight": weight });
    let block = |runs: Vec<Value>| json!({ "type": "RichTextBlock", "inlines": runs });
    let mut title = run(&shown.title, "Bolder");
    title["size"] = json!("Medium");
    let mut body = vec![block(vec![title]), block(vec![run(&shown.sentence, "Default")])];
    body.extend(shown.facts.iter().map(|(name, value)| {
        block(vec![run(&format!("{name}: "), "Bolder"), run(value, "Default")])
    }));
    if !shown.writes.is_empty() {
        body.push(block(vec![run(shown.writes_heading(), "Bolder")]));
        body.extend(shown.writes.iter().map(|write| block(vec![run(&write.line(), "Default")])));
    }
    let actions = shown
        .links
        .iter()
        .map(|link| json!({ "type": "Action.OpenUrl", "title": link.label, "url": link.url }));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
                "actions": actions.collect::<Vec<_>>(),
            },
        }],
    })
}

/// A message for ntfy, to be posted to the server's root.
pub(crate) fn ntfy(shown: &Shown, topic: &str, urgency: Urgency) -> Value {
    let (priority, tag) = match urgency {
        Urgency::High => (5, "lock"),
        Urgency::Normal => (3, "pencil2"),
        Urgency::Low => (2, "pencil2"),
    };
    let actions = shown
        .links
        .iter()
        .take(NTFY_ACTIONS)
        .map(|link| json!({ "action": "view", "label": link.label, "url": link.url }));
    let mut actions = actions.collect::<Vec<_>>();
    let body = text::body(shown);
    let mut room = NTFY_BYTES / 2;
    loop {
        let mut document = json!({
            "topic": topic,
            "title": shown.title,
            "message": fitted(&body, room, str::len, String::from),
            "tags": [tag],
            "priority": priority,
            "actions": actions,
        });
        if let Some(link) = shown.view().filter(|_| !actions.is_empty()) {
            document["click"] = json!(link.url);
        }
        if document.to_string().len() <= NTFY_BYTES || (room < 256 && actions.is_empty()) {
            return document;
        }
        // Addresses may be long: the text gives way down to a few lines, then the buttons.
        if room >= 256 {
            room /= 2;
        } else {
            actions.pop();
        }
    }
}

/// A message for Gotify, which publishes no limit and is sent what fits ntfy.
pub(crate) fn gotify(shown: &Shown, urgency: Urgency) -> Value {
    let priority = match urgency {
        Urgency::High => 8,
        Urgency::Normal => 5,
        Urgency::Low => 2,
    };
    let mut said = text::body(shown);
    for link in &shown.links {
        said.push_str(&format!("\n{}: {}", link.label, link.url));
    }
    let mut extras = json!({ "client::display": { "contentType": "text/plain" } });
    if let Some(link) = shown.view() {
        extras["client::notification"] = json!({ "click": { "url": link.url } });
    }
    json!({ "title": shown.title, "message": said, "priority": priority, "extras": extras })
}

/// A message for a chat of Telegram.
pub(crate) fn telegram(shown: &Shown, chat: &str, urgency: Urgency) -> Value {
    // No buttons: Telegram refuses the whole message when the address of one is not public, as that of
    // a console on a loopback address.
    let links = shown.links.iter().map(|link| {
        let label = fitted(&link.label, 64, utf16, in_telegram);
        format!("{label}: {}", in_html(&link.url))
    });
    let links = whole_within(links, "\n", TELEGRAM_TEXT / 2);
    let title = fitted(&shown.title, 900, utf16, in_telegram);
    let room = TELEGRAM_TEXT - utf16(&links) - utf16(&title) - "<b></b>\n\n\n\n".len();
    let said = fitted(&text::body(shown), room, utf16, in_telegram);
    json!({
        "chat_id": chat,
        "text": format!("<b>{title}</b>\n\n{said}\n\n{links}").trim_end(),
        "parse_mode": "HTML",
        "link_preview_options": { "is_disabled": true },
        "disable_notification": urgency == Urgency::Low,
    })
}

/// A message for Pushover, without the token and the receiver.
pub(crate) fn pushover(shown: &Shown, message: &Message) -> Value {
    let priority = match message.urgency {
        Urgency::High => 1,
        Urgency::Normal => 0,
        Urgency::Low => -1,
    };
    let mut document = json!({
        "title": fitted(&shown.title, PUSHOVER_TITLE, utf16, String::from),
        "message": fitted(&text::body(shown), PUSHOVER_MESSAGE, utf16, String::from),
        "priority": priority,
        "timestamp": message.time.0.div_euclid(1000),
    });
    let fits = |url: &str| url.len() <= PUSHOVER_URL;
    if let Some(link) = shown.view().filter(|link| fits(&link.url)) {
        document["url"] = json!(link.url);
        document["url_title"] = json!(fitted(&link.label, PUSHOVER_URL_TITLE, utf16, String::from));
    }
    document
}

/// A message event for a room of Matrix; far below the 65,536 bytes of an event.
pub(crate) fn matrix(shown: &Shown) -> Value {
    let mut plain = format!("{}\n\n{}", shown.title, text::body(shown));
    let mut html = format!(
        "<p><strong>{}</strong></p><p>{}</p>",
        in_html(&shown.title),
        in_html(&text::body(shown)).replace('\n', "<br>")
    );
    for link in &shown.links {
        plain.push_str(&format!("\n{}: {}", link.label, link.url));
        let (url, label) = (in_html(&link.url), in_html(&link.label));
        html.push_str(&format!("<p><a href=\"{url}\">{label}</a></p>"));
    }
    json!({
        "msgtype": "m.text",
        "body": plain,
        "format": "org.matrix.custom.html",
        "formatted_body": html,
        // Says that nobody is mentioned, whatever the text looks like (Matrix 1.7).
        "m.mentions": {},
    })
}

fn last_writes(shown: &Shown) -> String {
    let lines = shown.writes.iter().map(|write| format!("\n{}", write.line()));
    format!("{}:{}", shown.writes_heading(), lines.collect::<String>())
}

/// As many of the parts, joined, as fit as a whole.
fn whole_within(parts: impl Iterator<Item = String>, between: &str, max: usize) -> String {
    let mut all = String::new();
    for part in parts {
        let between = if all.is_empty() { "" } else { between };
        if utf16(&all) + utf16(between) + utf16(&part) <= max {
            all.push_str(between);
            all.push_str(&part);
        }
    }
    all
}

/// Slack obeys three characters (`<!channel>`, `<@U123>`), and marks, which a reader sees through.
fn in_mrkdwn(c: char) -> String {
    match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        c => c.to_string(),
    }
}

/// Discord takes a backslash before any punctuation as "the character itself".
fn in_markdown(c: char) -> String {
    if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | '/' | ';' | '?' | '\'' | '%') {
        format!("\\{c}")
    } else {
        c.to_string()
    }
}

fn in_html(text: &str) -> String {
    askama::filters::escape(text, askama::filters::Html)
        .map_or_else(|never| match never {}, |escaped| escaped.to_string())
}

/// Telegram makes a mention of `@name` even in text, and nothing but a break between the two stops it.
fn in_telegram(c: char) -> String {
    match c {
        '@' => "@\u{200b}".to_owned(),
        c => in_html(c.encode_utf8(&mut [0; 4])),
    }
}

#[cfg(test)]
mod tests;
